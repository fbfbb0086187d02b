package policies

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

// The lengths of a page: it ends at once when it has what is expected, so only a subscriber that is to get less waits.
const (
	pageTime      = time.Minute
	subscribeTime = 1500 * time.Millisecond
)

// defaultTemplates show a failure that is the answer, where the case has no templates of its own: keyHeader has its key.
const keyHeader = "Sluice-Failure-Key"

var defaultTemplates = map[string]map[string]any{
	"DEFAULT": {"*/*": map[string]any{"body": "{#error.message}", "headers": map[string]any{keyHeader: "{#error.key}"}}},
}

// id names the API and the topic of a case.
func (c *Case) id(pkg string, n int) string { return fmt.Sprintf("%s-%d", pkg, n) }

// dead is the topic of the dead letters of an API.
func dead(id string) string { return id + "-dead" }

func (c *Case) subscribes() bool { return c.method() == http.MethodGet }

func (c *Case) method() string {
	switch {
	case c.Request.Method != "":
		return c.Request.Method
	case c.Phase == "response" || c.Phase == "subscribe":
		return http.MethodGet
	}
	return http.MethodPost
}

func (c *Case) held() []Message {
	if len(c.Messages) == 0 && c.subscribes() {
		content := "{}"
		return []Message{{Content: &content}}
	}
	return c.Messages
}

// definition is the API of the case, as a user would write it.
func (c *Case) definition(id, brokers string) map[string]any {
	duration := pageTime
	if c.Phase == "subscribe" {
		duration = subscribeTime
	}
	def := map[string]any{
		"id": id, "name": id, "type": "MESSAGE", "apiVersion": "1", "definitionVersion": "V4",
		"listeners": []any{map[string]any{"type": "HTTP", "paths": []any{map[string]any{"path": "/" + id}}, "entrypoints": []any{
			map[string]any{"type": "http-post", "configuration": map[string]any{"requestHeadersToMessage": true}},
			map[string]any{"type": "http-get", "configuration": map[string]any{"headersInPayload": true, "metadataInPayload": true,
				"messagesLimitCount": max(len(c.held()), 1), "messagesLimitDurationMs": duration.Milliseconds()}},
		}}},
		"endpointGroups": []any{group("main", id, brokers), group("dead", dead(id), brokers)},
		"plans":          []any{map[string]any{"name": "open", "status": "PUBLISHED", "security": map[string]any{"type": "KEY_LESS"}}},
		"flows":          []any{c.flow()},
	}
	if c.Step.FailureMode == "dead-letter" {
		for _, e := range def["listeners"].([]any)[0].(map[string]any)["entrypoints"].([]any) {
			e.(map[string]any)["dlq"] = map[string]any{"endpoint": "dead"}
		}
	}
	if len(c.Properties) > 0 {
		var properties []any
		for _, k := range slices.Sorted(maps.Keys(c.Properties)) {
			properties = append(properties, map[string]any{"key": k, "value": c.Properties[k]})
		}
		def["properties"] = properties
	}
	if len(c.Resources) > 0 {
		def["resources"] = c.Resources
	}
	switch {
	case c.ResponseTemplates != nil:
		def["responseTemplates"] = c.ResponseTemplates
	case c.Want != nil && c.Want.Error != nil:
		def["responseTemplates"] = defaultTemplates
	}
	return def
}

func group(name, topic, brokers string) map[string]any {
	return map[string]any{"name": name, "type": "kafka",
		"sharedConfiguration": map[string]any{
			"consumer": map[string]any{"enabled": true, "topics": []string{topic}, "autoOffsetReset": "earliest"},
			"producer": map[string]any{"enabled": true, "topics": []string{topic}},
		},
		"endpoints": []any{map[string]any{"name": name + "-endpoint", "type": "kafka", "inheritConfiguration": true,
			"configuration": map[string]any{"bootstrapServers": brokers}}}}
}

func (c *Case) flow() map[string]any {
	step := map[string]any{"policy": c.Policy}
	if c.Configuration != nil {
		step["configuration"] = c.Configuration
	}
	for name, v := range map[string]string{"condition": c.Step.Condition, "messageCondition": c.Step.MessageCondition, "failureMode": c.Step.FailureMode} {
		if v != "" {
			step[name] = v
		}
	}
	flow := map[string]any{}
	if len(c.RequestFlow) > 0 {
		flow["request"] = c.RequestFlow
	}
	var steps []any
	for _, s := range c.Flow {
		steps = append(steps, s)
	}
	flow[c.Phase] = append(steps, step)
	return flow
}

// document is the definition as the management API reads it.
func (c *Case) document(id, brokers string) (*apidef.Document, error) {
	text, err := json.Marshal(c.definition(id, brokers))
	if err != nil {
		return nil, err
	}
	return apidef.Decode(text)
}

// outcome is what came of a case.
type outcome struct {
	status  int
	header  http.Header
	body    []byte
	items   []item
	failure *item  // of a page; nil: none
	text    []byte // the page as text, which holds content that is no UTF-8
}

// item is a message of a page.
type item struct {
	Content  string              `json:"content"`
	Headers  map[string][]string `json:"headers"`
	Metadata map[string]any      `json:"metadata"`
}

type page struct {
	Items      []item `json:"items"`
	Error      *item  `json:"error"`
	Pagination struct {
		NextCursor string `json:"nextCursor"`
	} `json:"pagination"`
}

// run asks the API of the case.
func (c *Case) run(ctx context.Context, w *world, id string) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := w.produce(ctx, id, c.held()); err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	if c.Phase != "subscribe" || c.Want.Messages == nil && c.Want.Error == nil {
		return c.ask(ctx, w, id, "", "")
	}
	out, err := c.read(ctx, w, id)
	if err == nil && slices.ContainsFunc(*orNone(c.Want.Messages), func(m Message) bool { return m.Content64 != nil }) {
		var again *outcome
		if again, err = c.ask(ctx, w, id, "cursor=earliest", "text/plain"); err == nil {
			out.text = again.body
		}
	}
	return out, err
}

// read reads pages until all messages were looked at, the stream ended or failed.
func (c *Case) read(ctx context.Context, w *world, id string) (*outcome, error) {
	var out *outcome
	cursor, last := "", len(c.held())-1
	for {
		query := "limit=" + strconv.Itoa(c.limit(out))
		if cursor != "" {
			query += "&cursor=" + cursor
		}
		began := time.Now()
		got, err := c.ask(ctx, w, id, query, "application/json")
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = got
		}
		if got.status != http.StatusOK {
			out.status, out.header, out.body = got.status, got.header, got.body
			return out, nil
		}
		var p page
		if err := json.Unmarshal(got.body, &p); err != nil {
			return nil, fmt.Errorf("page %q: %w", got.body, err)
		}
		out.items = append(out.items, p.Items...)
		if p.Error != nil {
			out.failure = p.Error
			return out, nil
		}
		at, err := offset(p.Pagination.NextCursor)
		if err != nil || at >= last {
			return out, err
		}
		if len(p.Items) == 0 && p.Pagination.NextCursor == cursor && time.Since(began) < subscribeTime {
			return out, nil // the stream ended by itself
		}
		cursor = p.Pagination.NextCursor
	}
}

// limit is how many messages the next page asks for: those that are expected, so that it ends as soon as they are there, then
// as many as there are.
func (c *Case) limit(so *outcome) int {
	want := len(*orNone(c.Want.Messages))
	if so != nil {
		want -= len(so.items)
	}
	if want <= 0 || c.Want.Error != nil { // a failure is part of the page of what comes before it
		return len(c.held())
	}
	return want
}

// offset is the position in a cursor of one partition.
func offset(cursor string) (int, error) {
	text, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil {
		return 0, fmt.Errorf("cursor %q: %w", cursor, err)
	}
	_, n, _ := strings.Cut(string(text), "#")
	at, err := strconv.Atoi(n)
	if err != nil {
		return 0, fmt.Errorf("cursor %q: %w", text, err)
	}
	return at, nil
}

// ask sends the request of the case once.
func (c *Case) ask(ctx context.Context, w *world, id, query, accept string) (*outcome, error) {
	url := w.gateway + "/" + id + c.Request.Path
	query = strings.Trim(c.Request.Query+"&"+query, "&")
	if query != "" {
		url += "?" + query
	}
	var body io.Reader
	if c.Request.Body != "" || c.Request.RawBody64 != "" {
		content, err := base64.StdEncoding.DecodeString(c.Request.RawBody64)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(c.Request.Body + string(content))
	}
	req, err := http.NewRequestWithContext(ctx, c.method(), url, body)
	if err != nil {
		return nil, err
	}
	if accept == "" && c.subscribes() {
		accept = "application/json"
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	for name, values := range c.Request.Headers {
		req.Header.Del(name)
		for _, v := range *orNoValues(values) {
			req.Header.Add(name, v)
		}
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	client, done := c.client()
	defer done()
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := &outcome{status: resp.StatusCode, header: resp.Header}
	out.body, err = io.ReadAll(resp.Body)
	return out, err
}

// client is one that connects from the address of the case, and follows no redirects.
func (c *Case) client() (client *http.Client, done func()) {
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Request.Remote == "" {
		return &http.Client{CheckRedirect: stay}, func() {}
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.Request.Remote)}}
	transport := &http.Transport{DialContext: from.DialContext}
	return &http.Client{Transport: transport, CheckRedirect: stay}, transport.CloseIdleConnections
}

func orNone(m *[]Message) *[]Message {
	if m == nil {
		return &[]Message{}
	}
	return m
}

func orNoValues(v *Values) *Values {
	if v == nil {
		return &Values{}
	}
	return v
}
