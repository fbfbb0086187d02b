package config

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// service is the name under which a process appears in traces and in target_info.
const service = "sluice"

// flush bounds how long a stopping process tries to hand over its last spans and numbers.
const flush = 5 * time.Second

// TelemetryConfig says what is measured and where it goes.
type TelemetryConfig struct {
	Node, Version string
	// OTLPEndpoint takes spans over gRPC: "http://host:4317" in the clear, "https://host:4317" or "host:4317" over TLS.
	// Empty: no spans.
	OTLPEndpoint string
	// SampleRatio is the share of traces that are recorded where the client did not decide; 0: all.
	SampleRatio float64
}

// Telemetry is what a process measures with.
type Telemetry struct {
	Meter    metric.MeterProvider
	Tracer   trace.TracerProvider // nil: spans are off
	Gatherer prometheus.Gatherer
	metrics  *sdkmetric.MeterProvider
	traces   *sdktrace.TracerProvider
}

// NewTelemetry sets up metrics, which a Prometheus server may scrape from Gatherer, and spans where they are wanted.
// Producers add numbers that are not kept in instruments. Nothing is dialled.
func NewTelemetry(ctx context.Context, cfg TelemetryConfig, producers ...sdkmetric.Producer) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := []otelprometheus.Option{otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo()}
	for _, p := range producers {
		options = append(options, otelprometheus.WithProducer(p))
	}
	reader, err := otelprometheus.New(options...)
	if err != nil {
		return nil, fmt.Errorf("set up the Prometheus exporter: %w", err)
	}
	about := resource.NewSchemaless(attribute.String("service.name", service), attribute.String("service.version", cfg.Version),
		attribute.String("service.instance.id", cfg.Node))
	t := &Telemetry{Gatherer: registry}
	t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(about))
	t.Meter = t.metrics
	if cfg.OTLPEndpoint == "" {
		return t, nil
	}
	exporter, err := otlptracegrpc.New(ctx, otlpOption(cfg.OTLPEndpoint)...)
	if err != nil {
		return nil, fmt.Errorf("set up the OTLP exporter to %s: %w", cfg.OTLPEndpoint, err)
	}
	ratio := cfg.SampleRatio
	if ratio == 0 {
		ratio = 1
	}
	t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))))
	t.Tracer = t.traces
	return t, nil
}

func otlpOption(endpoint string) []otlptracegrpc.Option {
	if u, err := url.Parse(endpoint); err == nil && strings.HasPrefix(u.Scheme, "http") && u.Host != "" {
		return []otlptracegrpc.Option{otlptracegrpc.WithEndpointURL(endpoint)}
	}
	return []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(endpoint)}
}

// Run waits for ctx to end and then hands over what was not exported yet. It belongs to the bottom of a stack, so that the
// last spans of the others are among it.
func (t *Telemetry) Run(ctx context.Context) error {
	<-ctx.Done()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), flush)
	defer cancel()
	var errs []error
	if t.traces != nil {
		errs = append(errs, t.traces.Shutdown(bounded))
	}
	errs = append(errs, t.metrics.Shutdown(bounded))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("flush telemetry: %w", err)
	}
	return nil
}
