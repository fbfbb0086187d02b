package arch

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/sluice-gateway/sluice"

func TestTree_KeepsTheArchitecture(t *testing.T) {
	report, err := Check(os.DirFS("../.."), module)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Warnings {
		t.Logf("warning: %s", p)
	}
	for _, p := range report.Errors {
		t.Errorf("%s", p)
	}
}

// pkg is a file of a synthetic tree: a commented package that imports what is given.
func pkg(imports ...string) *fstest.MapFile {
	var b strings.Builder
	b.WriteString("// Package p is there.\npackage p\n")
	for _, i := range imports {
		fmt.Fprintf(&b, "import _ %q\n", i)
	}
	return &fstest.MapFile{Data: []byte(b.String())}
}

func TestCheck_Imports(t *testing.T) {
	t.Parallel()
	const bad, good = false, true
	for _, c := range []struct {
		file, target string
		want         bool
	}{
		{"proto/wire/a.go", "proto/apidef", good},
		{"proto/wire/a.go", "qos", bad},
		{"proto/wire/a.go", "", bad},
		{"qos/window/a.go", "qos/message", good},
		{"qos/window/a.go", "proto/apidef", good},
		{"qos/window/a.go", "connectors", bad},
		{"policies/el/a.go", "qos/message", good},
		{"policies/ratelimit/a.go", "policies", good},
		{"policies/ratelimit/a.go", "policies/el", good},
		{"policies/ratelimit/a.go", "policies/jsonvalidation", bad},
		{"policies/ratelimit/a.go", "policies/ratelimit/bucket", good},
		{"policies/ratelimit/a.go", "connectors", bad},
		{"policies/builtin/a.go", "policies/ratelimit", good},
		{"policies/ratelimit/a.go", "policies/rates", good},
		{"policies/cache/a.go", "policies/resource", good},
		{"policies/cache/a.go", "policies/resource/redis", bad},
		{"policies/callout/a.go", "connectors/tlsstore", good},
		{"policies/callout/a.go", "connectors/mqttclient", bad},
		{"connectors/a.go", "qos", good},
		{"connectors/a.go", "connectors/supervise", bad},
		{"connectors/a.go", "connectors/eventloop", good},
		{"connectors/eventloop/a.go", "connectors", bad},
		{"connectors/eventloop/a.go", "connectors/httpfront", bad},
		{"connectors/a.go", "policies", bad},
		{"connectors/endpoint/kafka/a.go", "connectors", good},
		{"connectors/endpoint/kafka/a.go", "connectors/supervise", good},
		{"connectors/endpoint/kafka/a.go", "connectors/endpoint/kafka/frames", good},
		{"connectors/endpoint/kafka/frames/a.go", "connectors/endpoint/kafka", good},
		{"connectors/endpoint/kafka/a.go", "connectors/endpoint/mqtt5", bad},
		{"connectors/endpoint/mqtt/a.go", "connectors/endpoint/mqtt5", bad},
		{"connectors/endpoint/kafka/a.go", "connectors/entrypoint/sse", bad},
		{"connectors/endpoint/kafka/a.go", "connectors/builtin", bad},
		{"connectors/httpfront/a.go", "connectors/entrypoint/sse", bad},
		{"connectors/entrypoint/sse/a_test.go", "connectors/endpoint/mock", good},
		{"connectors/entrypoint/sse/a_test.go", "connectors/builtin", bad},
		{"connectors/entrypoint/sse/a_test.go", "dataplane", bad},
		{"connectors/builtin/a.go", "connectors/endpoint/kafka", good},
		{"connectors/builtin/a.go", "policies/builtin", bad},
		{"dataplane/flow/a.go", "connectors", good},
		{"dataplane/flow/a.go", "dataplane/table", good},
		{"dataplane/flow/a.go", "connectors/builtin", bad},
		{"dataplane/flow/a.go", "connectors/endpoint/mock", bad},
		{"dataplane/flow/a.go", "policies/el", bad},
		{"dataplane/flow/a.go", "controlplane", bad},
		{"dataplane/flow/a_test.go", "connectors/endpoint/mock", good},
		{"dataplane/flow/a_test.go", "connectors/builtin", bad},
		{"dataplane/flow/a_test.go", "controlplane/push", bad},
		{"dataplane/flow/a_test.go", "dataplane/flow", good},
		{"dataplane/flow/a_test.go", "test/leak", good},
		{"dataplane/flow/a_test.go", "bench/load", bad},
		{"dataplane/flow/a.go", "test/leak", bad},
		{"controlplane/push/a.go", "proto/wire", good},
		{"controlplane/push/a.go", "controlplane/fsm", good},
		{"controlplane/push/a.go", "connectors", bad},
		{"controlplane/push/a.go", "qos", bad},
		{"controlplane/push/a.go", "dataplane/feed", bad},
		{"controlplane/push/a_test.go", "dataplane/feed", bad},
		{"cmd/sluice/a.go", "cmd/sluice/internal/run", good},
		{"cmd/sluice/a.go", "connectors/builtin", good},
		{"cmd/sluice/a.go", "connectors", good},
		{"cmd/sluice/a.go", "connectors/endpoint/kafka", bad},
		{"cmd/sluice/a.go", "policies/builtin", good},
		{"cmd/sluice/a.go", "qos", good},
		{"cmd/sluice/a.go", "bench", good},
		{"cmd/sluice/a.go", "bench/report", good},
		{"cmd/sluice/a.go", "bench/load", bad},
		{"bench/a.go", "bench/load", good},
		{"bench/a.go", "qos", good},
		{"bench/load/a.go", "test/brokers", bad},
		{"bench/load/a_test.go", "test/leak", good},
		{"bench/load/a.go", "connectors/endpoint/kafka", bad},
		{"bench/load/a.go", "connectors/builtin", bad},
		{"test/cluster/a.go", "connectors/builtin", good},
		{"test/e2e/a_test.go", "bench/load", good},
		{"a.go", "proto", bad},
	} {
		target := strings.TrimSuffix(module+"/"+c.target, "/")
		report, err := Check(fstest.MapFS{c.file: pkg("fmt", "github.com/other/thing", target)}, module)
		if err != nil {
			t.Fatal(err)
		}
		var found []Problem
		for _, p := range report.Errors {
			if strings.Contains(p.Text, "imports") {
				found = append(found, p)
			}
		}
		if (len(found) == 0) != c.want {
			t.Errorf("%s importing %q: %v, want allowed %t", c.file, c.target, found, c.want)
		}
	}
}

func TestCheck_FilesAndPackages(t *testing.T) {
	t.Parallel()
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	const comment = "// Package p is there.\n"
	lines := func(n int) string { return strings.Repeat("//\n", n) }
	for _, c := range []struct {
		name string
		tree fstest.MapFS
		want string // within the one error; "": none
	}{
		{"commented", fstest.MapFS{"qos/a.go": text(comment + "package qos"), "qos/b.go": text("package qos")}, ""},
		{"uncommented", fstest.MapFS{"qos/a.go": text("package qos")}, "qos: package comment is missing"},
		{"comment in a test", fstest.MapFS{"qos/a.go": text("package qos"), "qos/a_test.go": text(comment + "package qos")}, "comment is missing"},
		{"tests alone", fstest.MapFS{"test/e2e/a_test.go": text("package e2e")}, ""},
		{"long", fstest.MapFS{"qos/a.go": text(comment + "package qos\n" + lines(499))}, "qos/a.go: 501 lines"},
		{"long enough", fstest.MapFS{"qos/a.go": text(comment + "package qos\n" + lines(498))}, ""},
		{"long test", fstest.MapFS{"qos/a_test.go": text("package qos\n" + lines(999))}, ""},
		{"long generated", fstest.MapFS{"qos/a.go": text("// Code generated by x. DO NOT EDIT.\n\n" + comment + "package qos\n" + lines(999))}, ""},
		{"meaningless name", fstest.MapFS{"qos/util/a.go": text(comment + "package util")}, "name util says nothing"},
		{"meaningless clause", fstest.MapFS{"qos/x/a.go": text(comment + "package helpers")}, "name helpers says nothing"},
		{"meaningless folder", fstest.MapFS{"qos/types/a.go": text(comment + "package kinds")}, "says nothing"},
		{"unknown folder", fstest.MapFS{"pkg/a.go": text(comment + "package pkg")}, "pkg is not in the package tree"},
		{"go in deploy", fstest.MapFS{"deploy/a.go": text(comment + "package deploy")}, "no Go"},
		{"test in deploy", fstest.MapFS{"deploy/a_test.go": text("package deploy")}, ""},
		{"other build tag", fstest.MapFS{"qos/a_windows.go": text("//go:build never\n\n" + comment + "package qos\nimport _ \"" + module + "/connectors\"")}, "imports connectors"},
		{"testdata", fstest.MapFS{"qos/testdata/a.go": text("package broken\nimport {")}, ""},
		{"module within", fstest.MapFS{"test/kube/go.mod": text("module kube"), "test/kube/a.go": text("package kube")}, ""},
	} {
		report, err := Check(c.tree, module)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		switch got := fmt.Sprint(report.Errors); {
		case c.want == "" && len(report.Errors) > 0:
			t.Errorf("%s: got %s, want no error", c.name, got)
		case c.want != "" && (len(report.Errors) != 1 || !strings.Contains(got, c.want)):
			t.Errorf("%s: got %s, want one error with %q", c.name, got, c.want)
		}
	}
}

func TestCheck_WarnsOfAFileThatGrows(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{"qos/a.go": &fstest.MapFile{Data: []byte("// Package qos is there.\npackage qos\n" + strings.Repeat("//\n", 400))}}
	report, err := Check(tree, module)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Errors) != 0 || len(report.Warnings) != 1 {
		t.Errorf("got %v, want one warning", report)
	}
}

func TestCheck_SaysThatItCannotParse(t *testing.T) {
	t.Parallel()
	if _, err := Check(fstest.MapFS{"qos/a.go": &fstest.MapFile{Data: []byte("pack")}}, module); err == nil {
		t.Error("no error for a file that is not Go")
	}
}
