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

func TestMatrix_Served(t *testing.T) {
	t.Parallel()
	live, auto := []string{"none", "auto"}, []string{"auto"}
	resuming, all := []string{"auto", "at-most-once", "at-least-once"}, []string{"none", "auto", "at-most-once", "at-least-once"}
	want := map[string][]string{
		"http-post kafka": live, "http-post mock": live, "http-get kafka": auto, "http-get mock": resuming,
		"sse kafka": live, "sse mock": all, "sse-advanced kafka": live, "sse-advanced mock": all, "websocket kafka": live, "websocket mock": live,
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
				if c.Served && c.Origin == qos.Refused {
					t.Errorf("%+v is served and not in the matrix", c)
				}
				if c.Entrypoint != in || c.Endpoint != out || c.Level != l {
					t.Errorf("Lookup(%s, %s, %s) is of another place: %+v", in, out, l, c)
				}
				if qos.Promised(in, out, l) != (c.Origin != qos.Refused && !c.Served) {
					t.Errorf("%+v: promised %t", c, qos.Promised(in, out, l))
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
		{"served", "sse", "kafka", qos.Auto, ""},
		{"addition to come", "sse", "kafka", qos.AtLeastOnce, "at-least-once between sse and kafka is not served yet by this version; choose one of: none, auto"},
		{"seed's to come", "sse", "mqtt5", qos.AtMostOnce, "at-most-once between sse and mqtt5 is not served yet by this version; choose another endpoint"},
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

func TestLevelsOf_ServedOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		got  []qos.Level
		want []qos.Level
	}{
		{"http-get", qos.LevelsOf("http-get"), []qos.Level{qos.Auto, qos.AtMostOnce, qos.AtLeastOnce}},
		{"sse", qos.LevelsOf("sse"), qos.Levels()},
		{"webhook", qos.LevelsOf("webhook"), []qos.Level{}},
		{"endpoint kafka", qos.LevelsOfEndpoint("kafka"), []qos.Level{qos.None, qos.Auto}},
		{"endpoint mqtt5", qos.LevelsOfEndpoint("mqtt5"), []qos.Level{}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.got, c.want)
		}
	}
}
