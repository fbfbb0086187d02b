//go:build e2e

package grid

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/brokers"
)

// TestReal_MQTTWitness writes through a restart of the broker and wants the witness to have what was acknowledged.
func TestReal_MQTTWitness(t *testing.T) {
	ctx := t.Context()
	b := &mqttBroker{mosquitto: brokers.StartMosquitto(t, brokers.MosquittoConfig{}), endpoint: "mqtt5"}
	topic, err := b.open(ctx, "t", partitions, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer topic.close()
	path := filepath.Join(t.TempDir(), "history.jsonl")
	r, err := newRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	run := &run{cell: Cell{Entrypoint: "http-post", Endpoint: "mqtt5", Level: "auto", Direction: Publish}, record: r}
	r.add(run.witnessOf(log))
	for p := range partitions {
		r.add(run.witnessOf(fmt.Sprintf("%s/%d", log, p)))
	}
	const each = 300
	for n := range int64(2 * each) {
		if n == each {
			if err := b.restart(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for p := range partitions {
			m := identity{fmt.Sprint("k", p), n}
			if err := topic.write(ctx, r, p, m, body(m, plainSize)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := topic.witness(ctx, r); err != nil {
		t.Fatal(err)
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	v, err := Judge(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Err(); err != nil {
		t.Error(err)
	}
	var whole judge.Report
	for _, s := range v.Subscribers {
		if s.Subscriber == log {
			whole = s
		}
	}
	if v.Produced != 2*each*partitions || whole.Delivered < each*partitions || v.Stored < 2*each*partitions-partitions {
		t.Errorf("%d produced, %d stored, %d at the witness", v.Produced, v.Stored, whole.Delivered)
	}
}
