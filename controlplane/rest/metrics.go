package rest

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics counts requests by method and status; the paths hold ids, so they are no label.
type metrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
	panics   metric.Int64Counter
}

func newMetrics(m metric.Meter) (*metrics, error) {
	requests, err := m.Int64Counter("sluice_controlplane_requests", metric.WithDescription("Requests to the management API."))
	if err != nil {
		return nil, fmt.Errorf("make metric: %w", err)
	}
	duration, err := m.Float64Histogram("sluice_controlplane_request_duration", metric.WithUnit("s"),
		metric.WithDescription("Time from a request's arrival to its answer, waiting for workers included."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60))
	if err != nil {
		return nil, fmt.Errorf("make metric: %w", err)
	}
	panics, err := m.Int64Counter("sluice_controlplane_panics", metric.WithDescription("Panics in handlers of the management API."))
	if err != nil {
		return nil, fmt.Errorf("make metric: %w", err)
	}
	return &metrics{requests: requests, duration: duration, panics: panics}, nil
}

func (m *metrics) done(ctx context.Context, r *http.Request, status int, took time.Duration) {
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
	default:
		method = "other"
	}
	set := metric.WithAttributes(attribute.String("method", method), attribute.Int("status", status))
	m.requests.Add(ctx, 1, set)
	m.duration.Record(ctx, took.Seconds(), set)
}
