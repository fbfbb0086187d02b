package limit

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/sluice-gateway/sluice/bench/load"
)

func mqttBroker(t *testing.T) []string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(listeners.NewNet("t", ln)); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return []string{ln.Addr().String()}
}

func TestMQTT_AllIsHeard(t *testing.T) {
	at := load.Job{MQTT: true, Brokers: mqttBroker(t), Topic: "bench/t", Size: 64, QoS: 1}
	consume, produce := at, at
	consume.Do, consume.Total = load.Consume, 300
	produce.Do, produce.Total, produce.Rate = load.Produce, 300, 3000
	out := client(t, consume, func() {
		if out := client(t, produce, nothing); out.Delivered != 300 {
			t.Errorf("published %+v", out)
		}
	})
	if out.Delivered != 300 || out.Lost != 0 || out.Latency == nil || out.Latency.Count != 300 {
		t.Errorf("heard %+v", out)
	}
}

// A server that says 202 and publishes nothing must be found out on MQTT too.
func TestPost_FindsWhatNoSubscriberHeard(t *testing.T) {
	url, _ := server(t, load.Job{Do: HTTP})
	out := client(t, load.Job{Do: load.Post, URL: url, MQTT: true, Brokers: mqttBroker(t), Topic: "t", QoS: 1, Clients: 1, Size: 64, For: time.Millisecond, Quiet: 50 * time.Millisecond}, nothing)
	if out.Sent == 0 || out.Lost != out.Sent {
		t.Errorf("%+v", out)
	}
}

func TestReceive_CountsCalls(t *testing.T) {
	const total = 20
	for name, c := range map[string]struct {
		missing, again int64
	}{"all": {0, 1}, "one is missing": {1, 0}} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		out := client(t, load.Job{Do: load.Receive, Listen: addr, Total: total, Quiet: 200 * time.Millisecond}, func() {
			body := make([]byte, 64)
			for i := range total - c.missing {
				for range 1 + c.again*(1-min(i, 1)) { // the first comes again
					load.Stamp(body, i, 0)
					res, err := http.Post("http://"+addr, "", bytes.NewReader(body))
					if err != nil || res.StatusCode != http.StatusAccepted {
						t.Fatalf("%v %v", res, err)
					}
					res.Body.Close()
				}
			}
		})
		if out.Delivered != total-c.missing || out.Lost != c.missing || out.Duplicated != c.again {
			t.Errorf("%s: %+v", name, out)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
