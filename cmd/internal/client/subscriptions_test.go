package client_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/controlplane/rest"
	"github.com/sluice-gateway/sluice/proto/command"
)

const pushed = `name: hooks
apiVersion: "1"
definitionVersion: V4
type: MESSAGE
listeners: [{type: SUBSCRIPTION, entrypoints: [{type: webhook}]}]
endpointGroups: [{name: g, type: kafka, endpoints: [{name: e, type: kafka}]}]
plans: [{id: push, name: Push, mode: PUSH, status: published}, {id: auto, name: Auto, mode: PUSH, validation: AUTO, status: published}]
`

const hook = `id: %
consumerConfiguration:
  entrypointId: webhook
  entrypointConfiguration: {callbackUrl: "https://user:secret@example.com/hook"}
`

// TestSubscriptions runs every command on subscriptions, against the real management API.
func TestSubscriptions(t *testing.T) {
	n, url := newReal(t, rest.Config{Token: fakeToken})
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"api.yaml": pushed, "one.yaml": strings.Replace(hook, "%", "s-1", 1), "two.yaml": strings.Replace(hook, "%", "s-2", 1)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fail := func() {
		c := &command.Command{Change: &command.Command_FailSubscription{FailSubscription: &command.FailSubscription{SubscriptionId: "s-1", Revision: 1 << 40, Cause: "401 from the subscriber"}}}
		if r, err := n.Propose(t.Context(), c); err != nil || r.GetError() != nil {
			t.Fatal(r, err)
		}
	}
	if got := run(t, url, "", "apply", "-f", "api.yaml", "--wait", "0s"); got.code != 0 {
		t.Fatal(got)
	}
	for _, step := range []struct {
		name, args string
		before     func()
	}{
		{"01-list-none", "subscriptions list hooks", nil},
		{"02-create-pending", "subscriptions create hooks -f one.yaml --plan Push", nil},
		{"03-create-json", "subscriptions create hooks -f two.yaml --plan auto --application shop -o json", nil},
		{"04-create-again", "subscriptions create hooks -f two.yaml --plan auto --application shop", nil},
		{"05-create-no-file", "subscriptions create hooks -f nope.yaml", nil},
		{"06-accept", "subscriptions accept hooks s-1", nil},
		{"07-list", "subscriptions list hooks", nil},
		{"08-list-filtered-name", "subscriptions list hooks --plan Auto --status accepted -o name", nil},
		{"09-pause", "subscriptions pause hooks s-1", nil},
		{"10-pause-again", "subscriptions pause hooks s-1", nil},
		{"11-resume", "subscriptions resume hooks s-1", nil},
		{"12-resume-running", "subscriptions resume hooks s-1", nil},
		{"13-list-failed-wide", "subs ls hooks -o wide", fail},
		{"14-get-failed", "subscriptions get hooks s-1", nil},
		{"15-resume-failed-json", "subscriptions resume hooks s-1 -o json", nil},
		{"16-replay", "subscriptions replay hooks s-1 --from @2026-11-22T10:00:00Z", nil},
		{"17-replay-bad", "subscriptions replay hooks s-1 --from latest", nil},
		{"18-get-replaying", "subscriptions get hooks s-1", nil},
		{"19-attempts", "subscriptions attempts hooks s-1", nil},
		{"20-attempts-json", "subscriptions attempts hooks s-1 -o json", nil},
		{"21-attempts-none", "subscriptions attempts hooks s-2", nil},
		{"22-close", "subscriptions close hooks s-2", nil},
		{"23-get-unknown", "subscriptions get hooks nope", nil},
		{"24-get-yaml", "subscriptions get hooks s-2 -o yaml", nil},
	} {
		if step.before != nil {
			step.before()
		}
		got := run(t, url, "", strings.Fields(step.args)...)
		if strings.Contains(got.out+got.err, "secret") {
			t.Errorf("%s tells a secret: %s", step.name, got.out)
		}
		golden(t, step.name, got, url, "http://SERVER")
	}
}
