package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/command"
)

// checkWebhook is what a connector makes of a subscription's configuration.
func checkWebhook(typ string, cfg json.RawMessage) (found apidef.Problems, known bool) {
	var c struct {
		CallbackURL string `json:"callbackUrl"`
		Retry       struct{ MaxAttempts *int }
	}
	if typ != "webhook" {
		return nil, false
	}
	if err := json.Unmarshal(cfg, &c); err != nil {
		return apidef.Problems{{Message: "is no object", Severity: apidef.Error}}, true
	}
	if !strings.HasPrefix(c.CallbackURL, "http") {
		found = append(found, apidef.Problem{Pointer: "/callbackUrl", Code: "data.invalid", Severity: apidef.Error, Message: "is required"})
	}
	if n := c.Retry.MaxAttempts; n != nil && *n < 1 {
		found = append(found, apidef.Problem{Pointer: "/retry/maxAttempts", Code: "data.invalid", Severity: apidef.Error, Message: "must be at least 1"})
	}
	if strings.HasPrefix(c.CallbackURL, "http:") {
		found = append(found, apidef.Problem{Pointer: "/callbackUrl", Code: "plain", Severity: apidef.Warning, Message: "is not encrypted"})
	}
	return found, true
}

// pushing is a server with an API that pushes, and where the API's subscriptions are.
func pushing(t *testing.T, change ...func(*Config, *Deps)) (s *server, api, subs string) {
	t.Helper()
	s = newServer(t, append([]func(*Config, *Deps){func(_ *Config, d *Deps) { d.CheckSubscription = checkWebhook }}, change...)...)
	api = s.createPush(t)
	return s, api, s.root + "/" + api + "/subscriptions"
}

func (s *server) createPush(t *testing.T) string {
	t.Helper()
	id := s.create(map[string]any{"listeners": []any{map[string]any{"type": "subscription", "entrypoints": []any{map[string]any{"type": "webhook"}}}}})
	for _, p := range []string{
		`{"id": "%s-push", "name": "Push", "mode": "PUSH", "status": "published"}`, `{"id": "%s-auto", "name": "Auto", "mode": "PUSH", "status": "published", "validation": "AUTO"}`,
		`{"id": "%s-asks", "name": "Asks", "mode": "PUSH", "status": "published", "commentRequired": true}`, `{"id": "%s-new", "name": "New", "mode": "PUSH"}`,
		`{"id": "%s-old", "name": "Old", "mode": "PUSH", "status": "deprecated"}`, `{"id": "%s-gone", "name": "Gone", "mode": "PUSH", "status": "closed"}`,
		`{"id": "%s-free", "name": "Free", "security": {"type": "KEY_LESS"}, "status": "published"}`, `{"id": "%s-key", "name": "Key", "security": {"type": "API_KEY"}, "status": "published"}`,
		`{"id": "%s-3", "name": "3.20", "security": {"type": "SUBSCRIPTION"}, "status": "published"}`,
	} {
		s.do("POST", s.root+"/"+id+"/plans", fmt.Sprintf(p, id)).want(t, 201, "")
	}
	return id
}

// webhook is a body that subscribes to a plan, with the members given added or replaced.
func webhook(plan string, members map[string]any) string {
	b := map[string]any{"planId": plan, "consumerConfiguration": map[string]any{
		"entrypointId": "webhook", "entrypointConfiguration": map[string]any{"callbackUrl": "https://example.com/hook"},
	}}
	maps.Copy(b, members)
	out, _ := json.Marshal(b)
	return string(out)
}

func configured(cfg map[string]any) map[string]any {
	return map[string]any{"consumerConfiguration": map[string]any{"entrypointId": "webhook", "entrypointConfiguration": cfg}}
}

// field follows names into a body.
func (a answerOf) field(names ...string) any {
	var v any = a.body
	for _, n := range names {
		switch at := v.(type) {
		case map[string]any:
			v = at[n]
		case []any:
			var i int
			if _, err := fmt.Sscan(n, &i); err != nil || i >= len(at) {
				return nil
			}
			v = at[i]
		default:
			return nil
		}
	}
	return v
}

func TestSubscriptions_Life(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	a := s.do("POST", subs, webhook(api+"-push", map[string]any{
		"metadata": map[string]string{"team": "a"}, "request": "please", "endingAt": "2030-01-01T00:00:00Z",
	})).want(t, 201, "")
	id, _ := a.body["id"].(string)
	one := subs + "/" + id
	if a.Header().Get("Location") != one || a.Header().Get("ETag") == "" {
		t.Errorf("headers %v", a.Header())
	}
	for name, want := range map[string]any{"api": api, "plan": api + "-push", "application": "1", "type": "PUSH", "status": "PENDING", "consumerStatus": "STARTED",
		"origin": "MANAGEMENT", "request": "please", "endingAt": "2030-01-01T00:00:00Z", "subscribedBy": "admin"} {
		if a.body[name] != want {
			t.Errorf("%s is %v, want %v", name, a.body[name], want)
		}
	}
	step := func(path, body, status, consumer string) answerOf {
		t.Helper()
		s.do("POST", one+path, body).want(t, 200, "")
		got := s.do("GET", one, "").want(t, 200, "")
		if got.body["status"] != status || got.body["consumerStatus"] != consumer {
			t.Fatalf("after %s: %v %v", path, got.body["status"], got.body["consumerStatus"])
		}
		return got
	}
	got := step("/_accept", `{"reason": "welcome", "startingAt": "2026-01-01T00:00:00Z"}`, "ACCEPTED", "STARTED")
	if got.body["reason"] != "welcome" || got.body["startingAt"] != "2026-01-01T00:00:00Z" || got.body["processedBy"] != "admin" {
		t.Errorf("accepted: %s", got.Body)
	}
	if got.body["workers"] != nil {
		t.Errorf("there is no worker, and yet %v", got.body["workers"])
	}
	if step("/_pause", "", "PAUSED", "STARTED").body["pausedAt"] == nil {
		t.Error("no pausedAt")
	}
	step("/_resume", "", "ACCEPTED", "STARTED")
	step("/status?status=PAUSED", "", "PAUSED", "STARTED")
	step("/status?status=RESUMED", "", "ACCEPTED", "STARTED")
	step("/_changeConsumerStatus?status=STOPPED", "", "ACCEPTED", "STOPPED")
	step("/_changeConsumerStatus?status=STARTED", "", "ACCEPTED", "STARTED")
	if step("/_close", "", "CLOSED", "STARTED").body["closedAt"] == nil {
		t.Error("no closedAt")
	}
	step("/_restore", "", "PENDING", "STARTED")
	step("/_process", `{"accepted": false, "reason": "no"}`, "REJECTED", "STARTED")
	step("/_restore", "", "PENDING", "STARTED")
	step("/_process", `{"accepted": true}`, "ACCEPTED", "STARTED")
	step("/status?status=CLOSED", "", "CLOSED", "STARTED")
}

func TestSubscriptions_Refusals(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	plain := s.created()
	id := func(body string) string {
		return fmt.Sprint(s.do("POST", subs, body).want(t, 201, "").body["id"])
	}
	pending, accepted := id(webhook(api+"-push", nil)), id(webhook(api+"-auto", nil))
	closed := id(webhook(api+"-push", nil))
	s.do("POST", subs+"/"+closed+"/_close", "").want(t, 200, "")
	id(webhook(api+"-push", map[string]any{"applicationId": "shop", "id": "mine"}))
	noEntrypoint := map[string]any{"consumerConfiguration": map[string]any{"entrypointConfiguration": map[string]any{"callbackUrl": "https://example.com"}}}
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code, location           string
	}{
		{"no plan named", "POST", "", webhook("", nil), 400, "data.invalid", "/planId"},
		{"unknown plan", "POST", "", webhook("nope", nil), 404, "plan.notFound", ""},
		{"staging plan", "POST", "", webhook(api+"-new", nil), 400, "plan.notPublished", ""},
		{"closed plan", "POST", "", webhook(api+"-gone", nil), 400, "plan.closed", ""},
		{"deprecated plan", "POST", "", webhook(api+"-old", nil), 400, "plan.notSubscribable", ""},
		{"keyless plan", "POST", "", webhook(api+"-free", nil), 400, "plan.notSubscribable", ""},
		{"plan of a later version", "POST", "", webhook(api+"-key", nil), 400, "plan.notSubscribable", ""},
		{"no comment", "POST", "", webhook(api+"-asks", nil), 400, "data.invalid", "/request"},
		{"subscribed already", "POST", "", webhook(api+"-push", map[string]any{"applicationId": "shop"}), 400, "plan.subscribed", ""},
		{"id taken", "POST", "", webhook(api+"-push", map[string]any{"id": "mine"}), 400, "subscription.existing", ""},
		{"bad id", "POST", "", webhook(api+"-push", map[string]any{"id": "a b"}), 400, "data.invalid", "/id"},
		{"no configuration", "POST", "", `{"planId": "` + api + `-push"}`, 400, "subscription.entrypoint.missing", ""},
		{"no entrypoint", "POST", "", webhook(api+"-push", noEntrypoint), 400, "subscription.entrypoint.missing", ""},
		{"no entrypoint in 3.20", "POST", "", `{"planId": "` + api + `-push", "configuration": "{\"callbackUrl\":\"https://example.com\"}"}`, 400, "subscription.entrypoint.missing", ""},
		{"entrypoint of another API", "POST", "", webhook(api+"-push", map[string]any{"consumerConfiguration": map[string]any{"entrypointId": "sse"}}), 400, "data.invalid", "/consumerConfiguration/entrypointId"},
		{"bad configuration", "POST", "", webhook(api+"-push", configured(map[string]any{"callbackUrl": "ftp://x"})), 400, "data.invalid", "/consumerConfiguration/entrypointConfiguration/callbackUrl"},
		{"bad configuration in 3.20", "POST", "", `{"planId": "` + api + `-push", "configuration": "{\"entrypointId\":\"webhook\"}"}`, 400, "data.invalid", "/configuration/callbackUrl"},
		{"configuration is no JSON", "POST", "", `{"planId": "` + api + `-push", "configuration": "{"}`, 400, "data.invalid", "/configuration"},
		{"mask of nothing", "POST", "", webhook(api+"-push", configured(map[string]any{"callbackUrl": "https://x", "auth": map[string]any{"basic": map[string]any{"password": "********"}}})), 400, "data.invalid", "/consumerConfiguration/entrypointConfiguration/auth/basic/password"},
		{"ends before it starts", "POST", "", webhook(api+"-push", map[string]any{"startingAt": "2030-01-01T00:00:00Z", "endingAt": "2029-01-01T00:00:00Z"}), 400, "data.invalid", "/endingAt"},
		{"no time", "POST", "", webhook(api+"-push", map[string]any{"startingAt": "tomorrow"}), 400, "data.invalid", "/startingAt"},
		{"unknown member", "POST", "", webhook(api+"-push", map[string]any{"colour": "red"}), 400, "data.invalid", "/colour"},
		{"no object", "POST", "", `[1]`, 400, "syntax", ""},
		{"unknown subscription", "GET", "/nope", "", 404, "subscription.notFound", ""},
		{"unknown to update", "PUT", "/nope", "{}", 404, "subscription.notFound", ""},
		{"update closed", "PUT", "/" + closed, "{}", 400, "subscription.notUpdatable", ""},
		{"update another plan", "PUT", "/" + pending, webhook(api+"-auto", nil), 400, "data.invalid", "/planId"},
		{"update another application", "PUT", "/" + pending, `{"application": "shop"}`, 400, "data.invalid", "/applicationId"},
		{"update to end before the start", "PUT", "/" + accepted, `{"endingAt": "2001-01-01T00:00:00Z"}`, 400, "data.invalid", "/endingAt"},
		{"accept accepted", "POST", "/" + accepted + "/_accept", "", 400, "subscription.processed", ""},
		{"reject accepted", "POST", "/" + accepted + "/_reject", "{}", 400, "subscription.processed", ""},
		{"undecided", "POST", "/" + pending + "/_process", "{}", 400, "data.invalid", "/accepted"},
		{"decided in no JSON", "POST", "/" + pending + "/_accept", "welcome", 400, "data.invalid", ""},
		{"pause pending", "POST", "/" + pending + "/_pause", "", 400, "subscription.notPausable", ""},
		{"resume accepted", "POST", "/" + accepted + "/_resume", "", 400, "subscription.notPaused", ""},
		{"close closed", "POST", "/" + closed + "/_close", "", 400, "subscription.closed", ""},
		{"restore accepted", "POST", "/" + accepted + "/_restore", "", 400, "subscription.notClosed", ""},
		{"start started", "POST", "/" + accepted + "/_changeConsumerStatus?status=STARTED", "", 400, "subscription.consumerStatusNotUpdatable", ""},
		{"unknown status", "POST", "/" + accepted + "/_changeConsumerStatus?status=FAILURE", "", 400, "parameter.invalid", ""},
		{"unknown filter", "GET", "?status=GONE", "", 400, "parameter.invalid", ""},
		{"replay pending", "POST", "/" + pending + "/replays", `{"from": "earliest"}`, 400, "subscription.replay.refused", ""},
		{"replay from nowhere", "POST", "/" + accepted + "/replays", `{}`, 400, "data.invalid", "/from"},
		{"replay from now", "POST", "/" + accepted + "/replays", `{"from": "latest"}`, 400, "data.invalid", "/from"},
		{"replay from no time", "POST", "/" + accepted + "/replays", `{"from": "@noon"}`, 400, "data.invalid", "/from"},
		{"replay until the start", "POST", "/" + accepted + "/replays", `{"from": "earliest", "until": "earliest"}`, 400, "data.invalid", "/until"},
		{"replay in no JSON", "POST", "/" + accepted + "/replays", `from`, 400, "data.invalid", ""},
		{"unknown replay", "GET", "/" + accepted + "/replays/x", "", 404, "subscription.replay.notFound", ""},
		{"unknown replay to delete", "DELETE", "/" + accepted + "/replays/x", "", 404, "subscription.replay.notFound", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.code == "syntax" {
				c.code = apidef.CodeMalformed
			}
			a := s.do(c.method, subs+c.path, c.body).want(t, c.status, c.code)
			if c.location != "" && a.field("details", "0", "location") != c.location {
				t.Errorf("at %v, want %s: %s", a.field("details", "0", "location"), c.location, a.Body)
			}
		})
	}
	t.Run("in another API", func(t *testing.T) {
		s.do("GET", s.root+"/"+plain+"/subscriptions/"+pending, "").want(t, 404, "subscription.notFound")
	})
	t.Run("delete a plan that has some", func(t *testing.T) {
		s.do("DELETE", s.root+"/"+api+"/plans/"+api+"-push", "").want(t, 400, "plan.notDeletable")
	})
	t.Run("every problem", func(t *testing.T) {
		a := s.do("POST", subs, webhook(api+"-push", configured(map[string]any{"retry": map[string]any{"maxAttempts": 0}}))).want(t, 400, "data.invalid")
		if a.field("details", "1", "location") != "/consumerConfiguration/entrypointConfiguration/retry/maxAttempts" {
			t.Errorf("details %v", a.body["details"])
		}
	})
}

// TestSubscriptions_NoListenerAnyMore: an API that stopped pushing has subscriptions whose consumer status cannot change.
func TestSubscriptions_NoListenerAnyMore(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	id := fmt.Sprint(s.do("POST", subs, webhook(api+"-auto", nil)).want(t, 201, "").body["id"])
	d := map[string]any{}
	if err := json.Unmarshal([]byte(definition(nil)), &d); err != nil {
		t.Fatal(err)
	}
	s.do("PUT", s.root+"/"+api, definition(map[string]any{"listeners": d["listeners"]})).want(t, 200, "")
	s.do("POST", subs+"/"+id+"/_changeConsumerStatus?status=STOPPED", "").want(t, 400, "subscription.consumerStatusNotUpdatable")
	a := s.do("PUT", subs+"/"+id, webhook("", map[string]any{"planId": api + "-auto"})).want(t, 400, "data.invalid")
	if !strings.Contains(a.Body.String(), "no subscription listener") {
		t.Errorf("it says %s", a.Body)
	}
}

func TestSubscriptions_FormsOf320(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	cfg := `{"entrypointId":"webhook","callbackUrl":"http://example.com/?a=<b>&c","headers":[{"name":"X-A","value":"1"}]}`
	text, _ := json.Marshal(cfg)
	a := s.do("POST", subs+"/?plan="+api+"-3&application=shop", `{"configuration": `+string(text)+`}`).want(t, 201, "")
	if a.body["application"] != "shop" || a.field("consumerConfiguration", "entrypointConfiguration", "callbackUrl") != "http://example.com/?a=<b>&c" {
		t.Errorf("got %s", a.Body)
	}
	if a.field("warnings", "0", "location") != "/configuration/callbackUrl" {
		t.Errorf("warnings %v", a.body["warnings"])
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(fmt.Sprint(a.body["configuration"])), &back); err != nil || back["entrypointId"] != "webhook" || back["callbackUrl"] != "http://example.com/?a=<b>&c" {
		t.Errorf("configuration %v: %v", a.body["configuration"], err)
	}
	s.do("PUT", subs+"/"+fmt.Sprint(a.body["id"]), `{"configuration": `+string(text)+`}`).want(t, 200, "")
	plans := s.do("GET", s.root+"/"+api+"/plans?security=SUBSCRIPTION", "").want(t, 200, "")
	if n := strings.Count(plans.Body.String(), `"mode": "push"`); n != 4 {
		t.Errorf("%d push plans in %s", n, plans.Body)
	}
}

func TestSubscriptions_ListFiltersAndPages(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	for i := range 25 {
		plan := map[bool]string{true: "-auto", false: "-push"}[i%5 == 0]
		s.do("POST", subs, webhook(api+plan, map[string]any{"id": fmt.Sprintf("s-%02d", i), "applicationId": fmt.Sprint("app-", i)})).want(t, 201, "")
	}
	s.do("POST", subs+"/s-00/_changeConsumerStatus?status=STOPPED", "").want(t, 200, "")
	for _, c := range []struct {
		query string
		total float64
		first string
	}{
		{"", 25, "s-24"},
		{"?page=3", 25, "s-04"},
		{"?perPage=100&status=ACCEPTED", 5, "s-20"},
		{"?statuses=accepted,PENDING&planIds=" + api + "-push", 20, "s-24"},
		{"?plan=" + api + "-auto&consumerStatus=STOPPED", 1, "s-00"},
		{"?applicationIds=app-7,app-8", 2, "s-08"},
		{"?application=nobody", 0, ""},
	} {
		a := s.do("GET", subs+c.query, "").want(t, 200, "")
		if a.field("pagination", "totalCount") != c.total || c.total > 0 && a.field("data", "0", "id") != c.first {
			t.Errorf("%s: %v, first %v", c.query, a.body["pagination"], a.field("data", "0", "id"))
		}
	}
	other := s.createPush(t)
	if a := s.do("GET", s.root+"/"+other+"/subscriptions", "").want(t, 200, ""); a.field("pagination", "totalCount") != float64(0) {
		t.Errorf("of another API: %s", a.Body)
	}
}

const secretConfig = `{
	"callbackUrl": "https://user:inURL@example.com/hook?x=1", "headers": [{"name": "Authorization", "value": "inHeader"}, {"name": "X-Plain", "value": "shown"}],
	"auth": {"type": "oauth2", "basic": {"username": "shown", "password": "inPassword"}, "token": {"value": "inToken"},
		"oauth2": {"endpoint": "https://id.example.com", "clientId": "shown", "clientSecret": "inClientSecret", "keyContent": "inKeyContent"}},
	"signature": {"secrets": ["inSecretOne", "inSecretTwo"]}, "retry": {"maxAttempts": 12345678901234567890},
	"ssl": {"trustStore": {"password": "inTrustPassword", "content": "shown"}, "keyStore": {"password": "inStorePassword", "keyPassword": "inKeyPassword", "content": "inContent", "alias": "shown"}}
}`

// TestSubscriptions_SecretsStayInside: what is secret is in no answer and in no log, and comes back where its mask is sent.
func TestSubscriptions_SecretsStayInside(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	s, api, subs := pushing(t, func(_ *Config, d *Deps) {
		d.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		d.CheckSubscription = func(string, json.RawMessage) (apidef.Problems, bool) { return nil, true }
	})

	cfg := map[string]any{}
	d := json.NewDecoder(strings.NewReader(secretConfig))
	d.UseNumber()
	if err := d.Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	a := s.do("POST", subs, webhook(api+"-auto", configured(cfg))).want(t, 201, "")
	one := subs + "/" + fmt.Sprint(a.body["id"])
	stored := func() string {
		return string(s.r.fsm.State().Subscription(fmt.Sprint(a.body["id"])).Consumer.Configuration)
	}
	first := stored()
	answers := []answerOf{a, s.do("GET", one, ""), s.do("GET", subs, ""), s.do("POST", one+"/_pause", "")}
	answers = append(answers, s.do("PUT", one, s.do("GET", one, "").Body.String()).want(t, 200, ""))
	for i, got := range answers {
		text := got.Body.String()
		if strings.Count(text, `"shown"`)+strings.Count(text, `\"shown\"`) != 10 || !strings.Contains(text, "https://user:********@example.com/hook?x=1") {
			t.Errorf("answer %d: %s", i, text)
		}
		if at := strings.Index(strings.ReplaceAll(text, "instance", ""), `"in`); at >= 0 {
			t.Errorf("answer %d tells a secret: %s", i, text[at:at+20])
		}
		for _, secret := range []string{"inURL", "inHeader", "inPassword", "inToken", "inClientSecret", "inKeyContent", "inSecret", "inTrust", "inStore", "inKey", "inContent"} {
			if strings.Contains(text, secret) {
				t.Errorf("answer %d tells %s", i, secret)
			}
		}
	}
	if now := canonical(t, stored()); now != canonical(t, first) {
		t.Errorf("sent back masked, it is stored as\n%s\nafter\n%s", now, canonical(t, first))
	}
	if strings.Contains(logged.String(), "inPassword") {
		t.Error("a secret is in the log")
	}
	// One secret changes, a header moves: the others stay what they were.
	masked, _ := s.do("GET", one, "").field("consumerConfiguration", "entrypointConfiguration").(map[string]any)
	masked["auth"].(map[string]any)["basic"].(map[string]any)["password"] = "changed"
	headers := masked["headers"].([]any)
	headers[0], headers[1] = headers[1], headers[0]
	s.do("PUT", one, webhook(api+"-auto", configured(masked))).want(t, 200, "")
	if now := stored(); !strings.Contains(now, `"changed"`) || strings.Contains(now, "inPassword") || !strings.Contains(now, "inHeader") || strings.Contains(now, "***") {
		t.Errorf("stored %s", now)
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	v, err := readJSON(json.RawMessage(text))
	if err != nil {
		t.Fatal(err)
	}
	b, err := writeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSubscriptions_UpdateKeepsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t)
	a := s.do("POST", subs, webhook(api+"-auto", map[string]any{"metadata": map[string]string{"a": "1"}, "endingAt": "2030-01-01T00:00:00Z"})).want(t, 201, "")
	one := subs + "/" + fmt.Sprint(a.body["id"])
	tag := a.Header().Get("ETag")
	b := s.do("PUT", one, `metadata: {b: "2"}`, "If-Match", tag).want(t, 200, "")
	if b.field("metadata", "b") != "2" || b.field("metadata", "a") != nil || b.body["endingAt"] != "2030-01-01T00:00:00Z" || b.body["status"] != "ACCEPTED" ||
		b.field("consumerConfiguration", "entrypointConfiguration", "callbackUrl") != "https://example.com/hook" {
		t.Errorf("updated: %s", b.Body)
	}
	s.do("PUT", one, `{"endingAt": null}`, "If-Match", tag).want(t, 412, "precondition.failed")
	if c := s.do("PUT", one, `{"endingAt": null}`).want(t, 200, ""); c.body["endingAt"] != nil {
		t.Errorf("the end stays: %s", c.Body)
	}
	s.r.before = func() { s.do("POST", one+"/_pause", "").want(t, 200, "") } // somebody else is first
	if c := s.do("PUT", one, `{"metadata": {}}`).want(t, 200, ""); c.body["status"] != "PAUSED" {
		t.Errorf("a change is lost: %s", c.Body)
	}
}

func TestSubscriptions_ReplaysAndAttempts(t *testing.T) {
	t.Parallel()
	s, api, subs := pushing(t, func(_ *Config, d *Deps) { d.Rollout = fakeRollout{} })
	id := fmt.Sprint(s.do("POST", subs, webhook(api+"-auto", nil)).want(t, 201, "").body["id"])
	one := subs + "/" + id
	if got := s.do("GET", one, "").want(t, 200, ""); got.field("workers", "0", "cause") != "no broker for "+id {
		t.Errorf("workers %v", got.body["workers"])
	}
	a := s.do("POST", one+"/replays", `{"from": "@2026-11-22T10:00:00Z", "until": "dG9waWNAMCMx"}`).want(t, 201, "")
	replay := fmt.Sprint(a.body["id"])
	if a.body["state"] != "RUNNING" || a.Header().Get("Location") != one+"/replays/"+replay {
		t.Errorf("created %s at %s", a.Body, a.Header().Get("Location"))
	}
	end := &command.Command{Change: &command.Command_EndReplay{EndReplay: &command.EndReplay{SubscriptionId: id, ReplayId: replay, Error: "no such topic"}}}
	if r, err := s.r.Propose(t.Context(), end); err != nil || r.GetError() != nil {
		t.Fatal(r, err)
	}
	if got := s.do("GET", one+"/replays/"+replay, "").want(t, 200, ""); got.body["state"] != "FAILED" || got.body["error"] != "no such topic" || got.body["endedAt"] == nil {
		t.Errorf("ended %s", got.Body)
	}
	if got := s.do("GET", one+"/replays", "").want(t, 200, ""); got.field("data", "0", "id") != replay {
		t.Errorf("listed %s", got.Body)
	}
	s.do("DELETE", one+"/replays/"+replay, "").want(t, 204, "")
	if got := s.do("GET", one+"/replays", "").want(t, 200, ""); got.field("data", "0") != nil {
		t.Errorf("left %s", got.Body)
	}
	got := s.do("GET", one+"/attempts?limit=7", "").want(t, 200, "")
	if got.field("data", "0", "message") != id || got.field("data", "0", "number") != float64(7) || got.field("silent", "0") != "w2" {
		t.Errorf("attempts %s", got.Body)
	}
	s.do("GET", subs+"/nope/attempts", "").want(t, 404, "subscription.notFound")
	fail := &command.Command{Change: &command.Command_FailSubscription{FailSubscription: &command.FailSubscription{SubscriptionId: id, Revision: 1 << 40, Cause: "401 from the subscriber"}}}
	if r, err := s.r.Propose(t.Context(), fail); err != nil || r.GetError() != nil {
		t.Fatal(r, err)
	}
	if got := s.do("GET", one, "").want(t, 200, ""); got.body["consumerStatus"] != "FAILURE" || got.body["failureCause"] != "401 from the subscriber" {
		t.Errorf("failed %s", got.Body)
	}
	if got := s.do("POST", one+"/_changeConsumerStatus?status=STARTED", "").want(t, 200, ""); got.body["consumerStatus"] != "STARTED" || got.body["failureCause"] != nil {
		t.Errorf("resumed %s", got.Body)
	}
}

// TestMasked_NeverTellsWhatItMasked walks the names that connectors give to secrets.
func TestMasked_Names(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"password": true, "keyPassword": true, "client_secret": true, "token": true, "privateKey": true, "apiKey": true, "keyContent": true, "passphrase": true,
		"username": false, "tokenEndpoint": false, "clientId": false, "content": false, "certContent": false, "alias": false, "type": false, "callbackUrl": false,
	} {
		cfg, _ := json.Marshal(map[string]string{name: "value"})
		got, err := masked(cfg)
		if err != nil || strings.Contains(string(got), "value") == want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
