package avrojson_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/avrojson"
	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/policies/resource/schemaregistry"
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

const inner = `{"type":"record","name":"In","namespace":"x","fields":[{"name":"v","type":"int"}]}`
const outer = `{"type":"record","name":"Out","namespace":"x","fields":[{"name":"i","type":["null","x.In"]}]}`

// counting counts what is asked of a registry.
type counting struct {
	resource.SchemaRegistry
	asked atomic.Int32
}

func (c *counting) ByID(ctx context.Context, id int) (*resource.Schema, error) {
	c.asked.Add(1)
	return c.SchemaRegistry.ByID(ctx, id)
}

// TestPolicy_SchemaRegistry: the id in front of a message names its schema, which is read once.
func TestPolicy_SchemaRegistry(t *testing.T) {
	t.Parallel()
	fake := srfake.New()
	t.Cleanup(fake.Close)
	client, err := sr.NewClient(sr.URLs(fake.URL()))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := client.CreateSchema(ctx, "in", sr.Schema{Schema: inner}); err != nil {
		t.Fatal(err)
	}
	made, err := client.CreateSchema(ctx, "out", sr.Schema{Schema: outer, References: []sr.SchemaReference{{Name: "x.In", Subject: "in", Version: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := client.CreateSchema(ctx, "json", sr.Schema{Schema: `{"type":"object"}`, Type: sr.TypeJSON})
	if err != nil {
		t.Fatal(err)
	}
	opened, problems := schemaregistry.Type.Compile(json.RawMessage(`{"url":"`+fake.URL()+`"}`), resource.Env{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	registry := &counting{SchemaRegistry: opened.(resource.SchemaRegistry)}
	env := policies.Env{Log: slog.New(slog.DiscardHandler), Phase: policies.Subscribe, Resource: func(name string) any {
		if name == "r" {
			return registry
		}
		return nil
	}}
	step, problems := avrojson.Type.Compile(json.RawMessage(`{"conversion":"avro-to-json","schemaLocation":"schema-registry","resourceName":"r"}`), env)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if traits := step.(policies.Traited).Traits(); !traits.Shared || !traits.Blocks {
		t.Errorf("%+v", traits)
	}
	work := func(id int, value ...byte) (string, error) {
		m := &message.Message{Content: append([]byte{0, 0, 0, byte(id >> 8), byte(id)}, value...)}
		var c policies.Context
		c.Init(&exchange.Exchange{}, nil)
		c.SetMessage(m)
		err := step.(policies.MessagePolicy).OnMessage(ctx, &c, m)
		return string(m.Content), err
	}
	for range 3 {
		if got, err := work(made.ID, 2, 14); err != nil || got != `{"i":{"x.In":{"v":7}}}` {
			t.Errorf("%s, %v", got, err)
		}
	}
	if n := registry.asked.Load(); n != 1 {
		t.Errorf("asked %d times for one schema", n)
	}
	for id, want := range map[int]string{999: "not known", other.ID: "is JSON, not AVRO"} {
		_, err := work(id, 0)
		f := (*message.Failure)(nil)
		if !errors.As(err, &f) || f.Key != "INVALID_AVRO_TRANSFORMATION" || !strings.Contains(err.Error(), want) {
			t.Errorf("id %d: %v, want %s", id, err, want)
		}
	}
	if _, problems := avrojson.Type.Compile(json.RawMessage(`{"conversion":"avro-to-json","schemaLocation":"schema-registry","resourceName":"none"}`), env); problems.Err() == nil {
		t.Error("a resource that there is not is taken")
	}
}
