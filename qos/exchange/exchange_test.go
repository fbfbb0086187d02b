package exchange_test

import (
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/qos/exchange"
)

func TestExchange_AttributesOfTheGateway(t *testing.T) {
	t.Parallel()
	x := exchange.Get()
	x.API = &exchange.API{ID: "a", Environment: "DEFAULT", DeployedAt: "42"}
	x.Plan, x.ContextPath, x.Subscription = "p", "/a/", "127.0.0.1"
	for name, want := range map[string]any{"api": "a", "gravitee.attribute.plan": "p", "context-path": "/a/", "user-id": "127.0.0.1",
		"api.deployed-at": "42", "environment": "DEFAULT"} {
		if got, ok := x.Attribute(name); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{"organization", "kafka.topics", ""} {
		if got, ok := x.Attribute(name); ok {
			t.Errorf("%s: %v, want none", name, got)
		}
	}
	x.SetAttribute("plan", "other")
	if got, _ := x.Attribute("gravitee.attribute.plan"); got != "other" {
		t.Errorf("plan set anew: %v", got)
	}
}

func TestExchange_AttributeNames(t *testing.T) {
	t.Parallel()
	x := &exchange.Exchange{API: &exchange.API{ID: "a"}, Plan: "p"}
	x.SetAttribute("gravitee.attribute.kafka.topics", "t")
	x.SetAttribute("plan", "other")
	if got, want := x.AttributeNames(), []string{"api", "kafka.topics", "plan"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestExchange_ReleaseLeavesNothing(t *testing.T) {
	x := exchange.Get()
	x.API, x.RequestID = &exchange.API{ID: "a"}, "r"
	x.SetAttribute("secret", 1)
	x.Release()
	for range 100 {
		y := exchange.Get()
		if _, ok := y.Attribute("secret"); ok || y.RequestID != "" || y.API != nil {
			t.Fatalf("left behind: %+v", y)
		}
	}
}

func TestExchange_DetachedIsNotPooled(t *testing.T) {
	x := exchange.Get()
	x.RequestID = "kept"
	x.Detach()
	x.Release()
	if x.RequestID != "kept" {
		t.Error("a detached exchange was cleared")
	}
}
