package qos_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/qos"
)

// TestMatrix_IsTheSeeds holds the cells that are marked as the seed's against the seed's own table, copied word by word.
func TestMatrix_IsTheSeeds(t *testing.T) {
	t.Parallel()
	const counted, live, every, auto = "At-Least-Once, At-Most-Once", "None, Auto", "None, Auto, At-Least-Once, At-Most-Once", "Auto"
	endpoints := []string{"mqtt5", "mqtt5-advanced", "kafka", "kafka-advanced"}
	seed := map[string][]string{
		"sse":              {counted, counted, live, every},
		"sse-advanced":     {counted, counted, live, every},
		"http-post":        {live, live, live, live},
		"http-get":         {auto, auto, auto, "Auto, At-Least-Once, At-Most-Once"},
		"websocket":        {live, live, live, live},
		"webhook":          {counted, counted, live, every},
		"webhook-advanced": {counted, counted, live, every},
	}
	for _, in := range qos.Entrypoints() {
		for i, out := range endpoints {
			want := strings.Split(strings.ToLower(seed[in][i]), ", ")
			for _, l := range qos.Levels() {
				if got := qos.Lookup(in, out, l).Origin == qos.Seed; got != slices.Contains(want, l.String()) {
					t.Errorf("%s x %s at %s is the seed's: %t, the seed says %v", in, out, l, got, want)
				}
			}
		}
	}
}

func TestMatrix_Levels(t *testing.T) {
	t.Parallel()
	const live, auto, resuming, all = "none auto", "auto", "auto at-most-once at-least-once", "none auto at-most-once at-least-once"
	want := map[string][]string{}
	for _, in := range qos.Entrypoints() {
		for _, out := range qos.Endpoints() {
			levels := all
			switch {
			case in == "http-post":
				levels = live
			case in == "http-get" && strings.HasPrefix(out, "mqtt"): // no positions to page from
				levels = auto
			case in == "http-get":
				levels = resuming
			}
			want[in+" "+out] = strings.Fields(levels)
		}
	}
	got := map[string][]string{}
	for _, in := range qos.Entrypoints() {
		for _, out := range qos.Endpoints() {
			if names := qos.SupportedNames(in, out); len(names) > 0 {
				got[in+" "+out] = names
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is served changed (-want +got); a cell comes with the tests that prove it:\n%s", diff)
	}
}

func TestMatrix_EveryCellHasItsReason(t *testing.T) {
	t.Parallel()
	for _, in := range qos.Entrypoints() {
		for _, out := range qos.Endpoints() {
			for _, l := range qos.Levels() {
				c := qos.Lookup(in, out, l)
				if (c.Origin == qos.Addition) != (c.Reason != "") {
					t.Errorf("%+v: a reason belongs to an addition, and only to one", c)
				}
				if c.Entrypoint != in || c.Endpoint != out || c.Level != l {
					t.Errorf("Lookup(%s, %s, %s) is of another place: %+v", in, out, l, c)
				}
			}
			if qos.Lookup(in, out, qos.Auto).Origin == qos.Refused {
				t.Errorf("auto does not work between %s and %s", in, out)
			}
		}
	}
}

func TestMatrix_AdvancedNamesAddNothingThatPlainOnesLack(t *testing.T) {
	t.Parallel()
	for _, in := range qos.Entrypoints() {
		for _, out := range qos.Endpoints() {
			for _, l := range qos.Levels() {
				plain := qos.Lookup(strings.TrimSuffix(in, "-advanced"), strings.TrimSuffix(out, "-advanced"), l)
				if (qos.Lookup(in, out, l).Origin == qos.Refused) != (plain.Origin == qos.Refused) {
					t.Errorf("%s x %s at %s differs from %s x %s", in, out, l, plain.Entrypoint, plain.Endpoint)
				}
			}
		}
	}
}

func TestRefusal_Text(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, entrypoint, endpoint string
		level                      qos.Level
		want                       string
	}{
		{"possible", "sse", "kafka", qos.Auto, ""},
		{"never", "http-post", "kafka", qos.AtLeastOnce, "at-least-once is not possible between http-post and kafka; choose one of: none, auto"},
		{"unknown type", "sse", "carrier-pigeon", qos.Auto, "no level is possible between sse and carrier-pigeon; choose another endpoint"},
	} {
		if got := qos.Refusal(c.entrypoint, c.endpoint, c.level); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := qos.RefusalOf(c.entrypoint, c.endpoint, c.level.String()); got != c.want {
			t.Errorf("%s: by name %q, want %q", c.name, got, c.want)
		}
	}
	if got := qos.RefusalOf("sse", "kafka", "best"); got != `"best" is no quality of service` {
		t.Error(got)
	}
}

func TestLevelsOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		got  []qos.Level
		want []qos.Level
	}{
		{"http-get", qos.LevelsOf("http-get"), []qos.Level{qos.Auto, qos.AtMostOnce, qos.AtLeastOnce}},
		{"sse", qos.LevelsOf("sse"), qos.Levels()},
		{"http-post", qos.LevelsOf("http-post"), []qos.Level{qos.None, qos.Auto}},
		{"endpoint kafka", qos.LevelsOfEndpoint("kafka"), qos.Levels()},
		{"endpoint mqtt5", qos.LevelsOfEndpoint("carrier-pigeon"), []qos.Level{}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}
