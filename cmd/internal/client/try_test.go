package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-gateway/sluice/cmd/internal/catalog"
	"github.com/sluice-gateway/sluice/cmd/internal/client"
	"github.com/sluice-gateway/sluice/connectors/builtin"
	"github.com/sluice-gateway/sluice/proto/management"
)

// draft is a definition whose flows filter by a header of the request, add a header and validate.
const draft = `
name: Orders
type: message
apiVersion: "1"
definitionVersion: V4
listeners:
  - {type: http, paths: [{path: /orders}], entrypoints: [{type: http-post}, {type: sse}]}
endpointGroups:
  - name: default
    type: kafka
    endpoints: [{name: one, type: kafka, configuration: {bootstrapServers: "BROKER"}, sharedConfigurationOverride: {consumer: {enabled: true, topics: [elsewhere]}, producer: {enabled: true, topics: [elsewhere]}}}]
flows:
  - name: all
    request:
      - {policy: policy-assign-attributes, configuration: {attributes: [{name: tenant, value: "{#request.headers['X-Tenant'][0]}"}]}}
    publish:
      - {policy: json-validation, configuration: {schema: '{"type":"object","required":["tenant"]}'}}
    subscribe:
      - {policy: message-filtering, name: mine, configuration: {filter: "{#jsonPath(#message.content, '$.tenant') == #context.attributes['tenant']}"}}
      - {policy: transform-headers, messageCondition: "{#jsonPath(#message.content, '$.n') > 1}", configuration: {addHeaders: [{name: X-Seen, value: "yes"}]}}
`

func tryDraft(t *testing.T, broker, stdin string, args ...string) ran {
	t.Helper()
	file := filepath.Join(t.TempDir(), "draft.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(draft, "BROKER", broker)), 0o600); err != nil {
		t.Fatal(err)
	}
	return runEnv(t, catalog.Validation(builtin.Entrypoints, builtin.Endpoints), "", stdin, append([]string{"try", "-f", file}, args...)...)
}

// cost is what a chain costs, which differs from run to run.
var cost = regexp.MustCompile(`\([0-9.µnms]+s, [0-9]+ allocations?\)`)

func TestTry_Text(t *testing.T) {
	t.Parallel()
	got := tryDraft(t, "127.0.0.1:1", `{"content": {"tenant":"a","n":1}} [{"content":{"tenant":"b"}},{"content":{"tenant":"a","n":2},"key":"k","headers":{"x":"1"}}]`,
		"--message", "-", "--header", "X-Tenant: a", "--entrypoint", "sse")
	want := `request phase
  policy-assign-attributes  passed
message 1: passed (COST)
  message-filtering (mine)  passed
  transform-headers         skipped  its message condition is not met

message 2: dropped, by message-filtering (step "mine") (COST)
  message-filtering (mine)  dropped

message 3: changed (COST)
  message-filtering (mine)  passed
  transform-headers         changed
  + header X-Seen: yes

3 messages: 1 changed, 1 dropped, 1 passed
`
	out := cost.ReplaceAllString(got.out, "(COST)")
	if got.code != 0 || cmp.Diff(want, clean(out)) != "" {
		t.Errorf("exit %d, %s\n%s", got.code, got.err, cmp.Diff(want, clean(out)))
	}
}

// clean removes the blanks at the ends of lines.
func clean(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestTry_Refused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		says        string
	}{
		{"no messages", "", nil, client.ExitUsage, "say which messages"},
		{"both", "{}", []string{"--message", "-", "--from-topic", "t"}, client.ExitUsage, "say which messages"},
		{"empty", "", []string{"--message", "-"}, client.ExitUsage, "holds no message"},
		{"no JSON", "{", []string{"--message", "-"}, client.ExitUsage, "is no JSON"},
		{"unknown member", `{"content":"x","colour":1}`, []string{"--message", "-"}, client.ExitUsage, `unknown field "colour"`},
		{"header", `{}`, []string{"--message", "-", "--header", "x"}, client.ExitUsage, "Name: value"},
		{"phase", `{}`, []string{"--message", "-", "--phase", "request"}, client.ExitRefused, "choose subscribe or publish"},
		{"entrypoint", `{}`, []string{"--message", "-", "--entrypoint", "http-post"}, client.ExitRefused, "choose one of: sse"},
		{"plan", `{}`, []string{"--message", "-", "--plan", "gold"}, client.ExitRefused, `no plan "gold"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := tryDraft(t, "127.0.0.1:1", c.stdin, c.args...); got.code != c.code || !strings.Contains(got.err, c.says) {
				t.Errorf("exit %d, want %d: %s", got.code, c.code, got.err)
			}
		})
	}
}

func TestTry_PublishFails(t *testing.T) {
	t.Parallel()
	got := tryDraft(t, "127.0.0.1:1", `{"n":1}`, "--message", "-", "--phase", "publish", "-o", "json")
	var r management.TrialReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || len(r.Messages) != 1 {
		t.Fatalf("%v %s %s", err, got.out, got.err)
	}
	if m := r.Messages[0]; m.Result != management.TrialFailed || m.Out != nil || m.Steps[0].Pointer != "/flows/0/publish/0" || !strings.Contains(m.Reason, "Bad Request") {
		t.Errorf("%+v", m)
	}
}

// TestTry_NothingLeaves runs steps that would call, store and count: they are told, and nothing is done.
func TestTry_NothingLeaves(t *testing.T) {
	t.Parallel()
	called := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called <- struct{}{} }))
	defer server.Close()
	store := t.TempDir()
	file := filepath.Join(t.TempDir(), "draft.yaml")
	text := strings.NewReplacer("SERVER", server.URL, "STORE", store).Replace(`
name: Orders
type: message
apiVersion: "1"
definitionVersion: V4
listeners: [{type: http, paths: [{path: /orders}], entrypoints: [{type: http-post}]}]
endpointGroups: [{name: default, type: mock, endpoints: [{name: one, type: mock}]}]
flows:
  - request:
      - {policy: rate-limit, configuration: {rate: {limit: 1, periodTime: 1, periodTimeUnit: SECONDS}}}
    publish:
      - {policy: policy-http-callout, configuration: {url: "SERVER/x", method: POST, body: "{#message.content}"}}
      - {policy: policy-http-callout, configuration: {url: "SERVER/y", method: GET, fireAndForget: true}}
      - {policy: claim-check, configuration: {threshold: 1, store: {type: FILE, directory: "STORE"}}}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runEnv(t, catalog.Validation(builtin.Entrypoints, builtin.Endpoints), "", `"hello"`, "try", "-f", file, "--message", "-", "--phase", "publish", "-o", "json")
	var r management.TrialReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || len(r.Messages) != 1 || len(r.Before) != 1 {
		t.Fatalf("%v %s %s", err, got.out, got.err)
	}
	m := r.Messages[0]
	for i, want := range []string{"POST " + server.URL + `/x "hello"`, "GET " + server.URL + "/y", "store 7 bytes"} {
		if notes := m.Steps[i].Notes; len(notes) != 1 || !strings.HasPrefix(notes[0], want) {
			t.Errorf("step %d noted %q, want %q", i, notes, want)
		}
	}
	if notes := r.Before[0].Notes; len(notes) != 1 || m.Allocs != nil || !strings.Contains(*m.Out.Content, "sha256") {
		t.Errorf("%q, %+v", notes, m)
	}
	left, err := os.ReadDir(store)
	if err != nil || len(left) > 0 || len(called) > 0 {
		t.Errorf("%v: %d files, %d calls", err, len(left), len(called))
	}
}

// TestTry_FromTopic reads the last messages of a topic that the definition does not name, and leaves no group behind.
func TestTry_FromTopic(t *testing.T) {
	t.Parallel()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	addr := broker.ListenAddrs()[0]
	producer, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("orders"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for i := range 30 {
		r := &kgo.Record{Partition: int32(i % 3), Value: fmt.Appendf(nil, `{"tenant":"a","n":%d}`, i)}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	got := tryDraft(t, addr, "", "--from-topic", "orders", "--last", "4", "--header", "X-Tenant: a", "-o", "json")
	var r management.TrialReport
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v %s %s", err, got.out, got.err)
	}
	var numbers []string
	for _, m := range r.Messages {
		if m.Result != management.TrialChanged || m.In.Topic != "orders" {
			t.Errorf("%+v", m)
		}
		numbers = append(numbers, *m.In.Content)
	}
	if len(numbers) != 4 || !strings.Contains(strings.Join(numbers, ""), `"n":29`) {
		t.Errorf("got %v", numbers)
	}
}
