package arch

import (
	"slices"
	"strings"
)

// arrows tells what the packages below a top-level folder may import of ours. "x/..." is x and all below it, "x" is x
// alone.
var arrows = map[string][]string{
	"cmd": {"cmd/...", "controlplane/...", "dataplane/...", "connectors", "connectors/builtin", "policies", "policies/resource",
		"policies/builtin", "qos/...", "proto/...", "bench", "bench/report"}, // bench: users measure their own machine
	"dataplane": {"dataplane/...", "connectors", "connectors/eventloop", "policies", "policies/resource", "policies/callout",
		"policies/rates", "qos/...", "proto/..."},
	"controlplane": {"controlplane/...", "proto/..."},
	"connectors":   {"connectors/...", "qos/...", "proto/..."},
	"policies":     {"policies/...", "connectors/tlsstore", "qos/...", "proto/..."}, // callouts and resources speak TLS
	"qos":          {"qos/...", "proto/..."},
	"proto":        {"proto/..."},
	"bench":        {"bench/...", "qos/...", "proto/..."}, // it measures the binary from outside, as users see it
	"test":         {"..."},
	"deploy":       {"..."}, // its tests
}

// plugins are the folders in which each package is on its own: it may import the shared packages and what lies below
// itself, but none of its siblings; builtin alone imports them all.
var plugins = map[string]plugin{
	"connectors": {base: []string{"connectors/eventloop"},
		shared: []string{"connectors", "connectors/eventloop", "connectors/supervise", "connectors/httpfront", "connectors/mqttclient",
			"connectors/tlsstore"},
		groups: []string{"connectors/entrypoint", "connectors/endpoint"}},
	"policies": {base: []string{"policies/el", "policies/rates"},
		shared: []string{"policies", "policies/el", "policies/resource", "policies/callout", "policies/rates", "policies/script",
			"policies/body", "policies/jsondoc", "policies/avrodoc", "policies/protodoc"}}, // what those that convert bodies share
}

type plugin struct {
	base   []string // what the root itself may import
	shared []string
	groups []string // folders that hold no package, only plugins
}

// refuse returns why the package in folder from must not import the one in folder target, or "". A test may also import
// test/..., and all plugins but builtin where its package may import their root: it needs some to be tried with.
func refuse(from, target string, test bool) string {
	top, to := topOf(from), topOf(target)
	switch {
	case from == target: // an external test package
		return ""
	case to == "bench" && top != "bench" && top != "test" && top != "cmd":
		return "only cmd and test import bench"
	case to == "test" && top != "test" && top != "deploy" && !test:
		return "only tests import test"
	case to == "test":
		return ""
	case isBuiltin(target) && top != "cmd" && top != "test":
		return "only cmd and test import builtin"
	case !matches(arrows[top], target) && !(test && matches(arrows[top], to) && plugins[to].shared != nil):
		if matches(arrows[top], to) {
			return top + " may import " + to + " itself only"
		}
		return top + " may import " + strings.Join(arrows[top], ", ") + " only"
	case top == to && !test && !isBuiltin(from):
		return plugins[top].refuse(from, target)
	}
	return ""
}

func (p plugin) refuse(from, target string) string {
	if p.shared == nil {
		return ""
	}
	if slices.Contains(p.base, target) && !slices.Contains(p.base, from) {
		return ""
	}
	if slices.Contains(p.base, from) {
		return "what the root imports may not import the rest"
	}
	if from == topOf(from) {
		return "the root is imported by its plugins, not the other way round"
	}
	if slices.Contains(p.shared, target) || p.unit(from) == p.unit(target) {
		return ""
	}
	return "a plugin may import " + strings.Join(p.shared, ", ") + " and what lies below itself, not its siblings"
}

// unit is the folder of the plugin that dir is or lies in.
func (p plugin) unit(dir string) string {
	depth := 2
	for _, group := range p.groups {
		if strings.HasPrefix(dir, group+"/") {
			depth = 3
		}
	}
	parts := strings.SplitN(dir, "/", depth+1)
	return strings.Join(parts[:min(depth, len(parts))], "/")
}

func isBuiltin(dir string) bool { return dir == "connectors/builtin" || dir == "policies/builtin" }

func topOf(dir string) string {
	top, _, _ := strings.Cut(dir, "/")
	return top
}

func matches(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if pattern == "..." {
			return true
		}
		if base, all := strings.CutSuffix(pattern, "/..."); all {
			return dir == base || strings.HasPrefix(dir, base+"/")
		}
		return dir == pattern
	})
}
