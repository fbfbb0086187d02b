package apidef

import (
	"reflect"
	"strings"
	"testing"
)

// TestShapes_HoldEveryField keeps the tables in step with the structs: a field without a row would be neither read
// nor written.
func TestShapes_HoldEveryField(t *testing.T) {
	t.Parallel()
	covers(t, apiShape, "carried", "unknown")
	covers(t, listenerShape)
	covers(t, pathShape)
	covers(t, corsShape)
	covers(t, entrypointShape)
	covers(t, dlqShape)
	covers(t, groupShape)
	covers(t, loadBalancerShape)
	covers(t, endpointShape)
	covers(t, groupServicesShape)
	covers(t, apiServicesShape)
	covers(t, serviceShape)
	covers(t, propertyShape)
	covers(t, resourceShape)
	covers(t, planShape)
	covers(t, planSecurityShape)
	covers(t, flowExecutionShape)
	covers(t, flowShape)
	covers(t, selectorShape)
	covers(t, stepShape)
	covers(t, responseTemplateShape)
	covers(t, analyticsShape)
	covers(t, samplingShape)
	covers(t, tracingShape)
	covers(t, failoverShape)
}

func covers[T any](t *testing.T, s *shape[T], besides ...string) {
	t.Helper()
	rows := map[string]bool{}
	for _, f := range s.fields {
		if rows[f.name] {
			t.Errorf("%s has two rows for %s", s.name, f.name)
		}
		rows[f.name] = true
	}
	for _, name := range besides {
		rows[name] = true
	}
	for typ, i := reflect.TypeFor[T](), 0; i < typ.NumField(); i++ {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if !rows[name] {
			t.Errorf("%s has no row for %s", s.name, name)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"policy", "polcy", 1}, {"listener", "listeners", 1}, {"flow", "wolf", 4}} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestJSONNumber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"1.50", "1.50", true}, {"0x1F", "31", true}, {"0o17", "15", true}, {"017", "15", true}, {"1_000", "1000", true}, {"+1", "1", true},
		{".5", "0.5", true}, {"-.5e3", "-0.5e3", true}, {"1.", "1", true}, {"1.e5", "1e5", true}, {"-0b11", "-3", true}, {"1E400", "1E400", true},
		{".inf", "", false}, {"-.inf", "", false}, {".nan", "", false},
	} {
		got, ok := jsonNumber(tt.in)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("jsonNumber(%q) = %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestParsePeriod(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		ok       bool
	}{
		{"PT10S", "10s", true}, {"10s", "10s", true}, {"P1DT2H", "26h0m0s", true}, {"pt1m30.5s", "1m30.5s", true},
		{"P", "", false}, {"PT", "", false}, {"P1Y", "", false}, {"", "", false}, {"PT99999999999999999999S", "", false},
	} {
		got, ok := parsePeriod(tt.in)
		if ok != tt.ok || ok && got.String() != tt.want {
			t.Errorf("parsePeriod(%q) = %v, %v, want %s, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestSanitisePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", "/"}, {"/", "/"}, {"a", "/a/"}, {"/a", "/a/"}, {"a/", "/a/"}, {"//a///b//", "/a/b/"}, {"/a b", "/a b/"},
	} {
		if got := sanitisePath(tt.in); got != tt.want {
			t.Errorf("sanitisePath(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestOrigins_LongestPrefix(t *testing.T) {
	t.Parallel()
	o := origins{"": "/spec", "/apiVersion": "/spec/version", "/plans/0": "/spec/plans/a~1b"}
	for _, tt := range []struct{ in, want string }{
		{"", "/spec"}, {"/name", "/spec/name"}, {"/apiVersion", "/spec/version"}, {"/apiVersions", "/spec/apiVersions"},
		{"/plans/0/name", "/spec/plans/a~1b/name"}, {"/plans/1", "/spec/plans/1"},
	} {
		if got := o.of(tt.in); got != tt.want {
			t.Errorf("of(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
