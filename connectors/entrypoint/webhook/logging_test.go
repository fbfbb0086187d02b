package webhook

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sluice-gateway/sluice/qos"
)

func TestLogging(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) {
		w.Header().Set("Set-Cookie", "secret-cookie")
		w.Header().Set("X-Answer", "yes")
		_, _ = w.Write([]byte("thank you"))
	})
	var out bytes.Buffer
	b := newBed(t, qos.AtLeastOnce, to(r.URL+"/in?key=secret-query", `"auth":{"type":"token","token":{"value":"secret-token"}}`))
	b.env.Log = slog.New(slog.NewTextHandler(&out, nil))
	b.config = `{"logging":{"enabled":true,"request":{"headers":true,"payload":true},"response":{"headers":true,"payload":true}}}`
	if err := b.all(data("k")...); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{"webhook call", "subscription=sub-1", "status=200", "Authorization: ***", `{\"n\":0}`, "X-Answer: yes", "Set-Cookie: ***", "thank you", r.URL + "/in"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	if strings.Contains(got, "secret-") {
		t.Errorf("secrets in %s", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	r := newReceiver(t, status(200, 400, 500))
	b := newBed(t, qos.None, to(r.URL, `"concurrency":1`))
	b.env.Meter = provider.Meter("test")
	if err := b.all(data("a", "a", "a")...); err != nil {
		t.Fatal(err)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				labels := p.Attributes.Encoded(attribute.DefaultEncoder())
				got[m.Name+" "+labels] = fmt.Sprint(p.Value)
			}
		case metricdata.Histogram[float64]:
			got[m.Name] = fmt.Sprint(d.DataPoints[0].Count)
		}
	}
	for name, want := range map[string]string{"sluice_webhook_attempts api=api,outcome=delivered": "1", "sluice_webhook_attempts api=api,outcome=given-up": "2",
		"sluice_webhook_lost_messages api=api,reason=failed": "2", "sluice_webhook_latency_seconds": "3", "sluice_webhook_calls api=api": "0"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s; all: %v", name, got[name], want, got)
		}
	}
}

// TestSignature_V1a is verified as the standard says, by hand: its library knows v1 alone.
func TestSignature_V1a(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, nil)
	seed, whole := b64(private.Seed()), b64(private)
	b := newBed(t, qos.AtLeastOnce, to(r.URL, `"signature":{"secrets":["whsk_`+seed+`","whsk_`+whole+`"]}`))
	if err := b.all(data("k")...); err != nil {
		t.Fatal(err)
	}
	c := r.got()[0]
	signatures := strings.Fields(c.header.Get("webhook-signature"))
	if len(signatures) != 2 {
		t.Fatalf("got %q", signatures)
	}
	for _, s := range signatures {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "v1a,"))
		if err != nil || !ed25519.Verify(public, []byte(c.header.Get("webhook-id")+"."+c.header.Get("webhook-timestamp")+"."+c.body), sum) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
