package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/cmd/internal/config"
)

func TestLogger_JSONFromItsLevelUp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := config.Logger(&out, "warn", "n1")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("left out")
	log.Warn("kept", config.KeyAPI, "a", config.KeyErr, errors.New("broken"))
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if record["msg"] != "kept" || record["node"] != "n1" || record["api"] != "a" || record["err"] != "broken" {
		t.Errorf("record %v", record)
	}
	if _, err := config.Logger(&out, "loud", "n1"); err == nil {
		t.Error("level loud was taken")
	}
}

func TestTelemetry_SpansOnlyWhereWanted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, endpoint string
		spans          bool
	}{
		{"off", "", false},
		{"address", "127.0.0.1:1", true},
		{"URL", "http://127.0.0.1:1", true},
	} {
		tel, err := config.NewTelemetry(t.Context(), config.TelemetryConfig{Node: "n1", Version: "v0", OTLPEndpoint: c.endpoint})
		if err != nil {
			t.Fatal(c.name, err)
		}
		if (tel.Tracer != nil) != c.spans {
			t.Errorf("%s: tracer %v", c.name, tel.Tracer)
		}
		counter, err := tel.Meter.Meter("m").Int64Counter("sluice_x_things")
		if err != nil {
			t.Fatal(err)
		}
		counter.Add(t.Context(), 3)
		families, err := tel.Gatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range families {
			found = found || f.GetName() == "sluice_x_things_total" && f.GetMetric()[0].GetCounter().GetValue() == 3
		}
		if !found {
			t.Errorf("%s: counter not gathered", c.name)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := tel.Run(ctx); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
