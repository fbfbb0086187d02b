//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/test/process"
)

const seeds = "../../proto/apidef/testdata/seeds/"

// TestSeed_DataIngestionUnedited is the first promise: the seed's JSON, posted as it stands to the URL that the seed
// names, then deployed and started, serves on the embedded Kafka; a POST answers 202 and the message is in topic demo.
func TestSeed_DataIngestionUnedited(t *testing.T) {
	t.Parallel()
	started := time.Now()
	dev := startDev(t, "--no-samples")
	t.Logf("ready after %s", time.Since(started))
	if took := time.Since(started); took > 10*time.Second+slack { // built already; the slack is for a busy machine
		t.Errorf("ready after %s, 10 s are promised", took)
	}
	seed, err := os.ReadFile(seeds + "data-ingestion.json")
	if err != nil {
		t.Fatal(err)
	}
	id := deploy(t, dev, seed)
	status, body, err := post(t.Context(), dev.Gateway+"/data/ingestion/kafka", "hello")
	if err != nil || status != http.StatusAccepted || body != "" {
		t.Fatalf("POST: %d %q %v", status, body, err)
	}
	if got := embeddedTopic(t, dev, "demo"); got != "hello" {
		t.Errorf("topic demo holds %q", got)
	}
	a, err := dev.Do(t.Context(), http.MethodGet, "/v4/apis/"+id, nil)
	if err != nil || a.Status != http.StatusOK || a.Header.Get("ETag") == "" {
		t.Errorf("GET the API: %d, ETag %q, %v", a.Status, a.Header.Get("ETag"), err)
	}

	// What was promised once holds after a power cut: the definition is served again and the message still there.
	dev.Kill()
	again, err := process.Start("dev-again", t.TempDir(), "dev", "--data-dir", dev.DataDir, "--no-samples",
		"--gateway-addr", strings.TrimPrefix(dev.Gateway, "http://"), "--management-addr", strings.TrimPrefix(dev.URL, "http://"),
		"--admin-addr", strings.TrimPrefix(dev.Admin, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Kill()
	if err := again.AwaitOK(t.Context(), dev.Admin+"/_node/ready"); err != nil {
		t.Fatal(err)
	}
	if status, body, err := post(t.Context(), dev.Gateway+"/data/ingestion/kafka", "again"); err != nil || status != http.StatusAccepted {
		t.Errorf("POST after kill -9 and restart: %d %q %v", status, body, err)
	}
}

// embeddedTopic reads the first record of a topic of the embedded broker, whose address sluice dev has printed.
func embeddedTopic(t *testing.T, dev *process.Dev, topic string) string {
	t.Helper()
	log, err := os.ReadFile(dev.Log)
	if err != nil {
		t.Fatal(err)
	}
	addr := ""
	for line := range strings.Lines(string(log)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "kafka" {
			addr = fields[1]
		}
	}
	if addr == "" {
		t.Fatalf("sluice dev does not say where its Kafka is:\n%s", log)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), process.Within)
	defer cancel()
	fetches := client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	return string(fetches.Records()[0].Value)
}

// TestSeed_OtherKindsAreStored posts the PROXY and NATIVE seeds: stored and listed, and the deploy says that this kind is
// not served yet. The MESSAGE seed deploys.
func TestSeed_OtherKindsAreStored(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--no-samples")
	for file, served := range map[string]bool{"proxy.yaml": false, "native.yaml": false, "message.yaml": true} {
		seed, err := os.ReadFile(seeds + file)
		if err != nil {
			t.Fatal(err)
		}
		a, err := dev.Do(t.Context(), http.MethodPost, "/v4/apis", seed, "Content-Type", "application/yaml")
		if err != nil || a.Status != http.StatusCreated {
			t.Fatalf("%s: %d %s %v", file, a.Status, a.Body, err)
		}
		var api struct{ ID, Name string }
		if err := json.Unmarshal(a.Body, &api); err != nil {
			t.Fatal(err)
		}
		list, err := dev.Do(t.Context(), http.MethodGet, "/v4/apis", nil)
		if err != nil || !bytes.Contains(list.Body, []byte(api.ID)) {
			t.Errorf("%s is not listed: %s %v", file, list.Body, err)
		}
		a, err = dev.Do(t.Context(), http.MethodPost, "/v4/apis/"+api.ID+"/deploy?wait=20s", nil)
		switch {
		case err != nil:
			t.Error(err)
		case served && a.Status != http.StatusOK:
			t.Errorf("deploy %s: %d %s", file, a.Status, a.Body)
		case !served && (a.Status/100 != 4 || !bytes.Contains(a.Body, []byte("not served"))):
			t.Errorf("deploy %s: %d %s; want a 4xx that says that the kind is not served yet", file, a.Status, a.Body)
		}
	}
}
