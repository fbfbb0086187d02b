package qos

import (
	"fmt"
	"slices"
	"strings"
)

// Origin says why a cell of the matrix is there.
type Origin uint8

// Origins.
const (
	Refused  Origin = iota // the two cannot keep this level together
	Seed                   // promised by the matrix that users come with
	Addition               // ours; Cell.Reason says why
)

// Cell is one place of the matrix: what is said of a level between an entrypoint and an endpoint.
type Cell struct {
	Entrypoint, Endpoint string
	Level                Level
	Origin               Origin
	Reason               string // of an Addition
}

// Types of the matrix, in the order of the documentation. The advanced names are accepted names of their own, as the seed
// has them.
var (
	entrypointTypes = []string{"http-post", "http-get", "sse", "sse-advanced", "websocket", "webhook", "webhook-advanced"}
	endpointTypes   = []string{"kafka", "kafka-advanced", "mqtt5", "mqtt5-advanced", "mqtt", "mock"}
)

// Reasons of the additions (DESIGN section 5).
const (
	advanced = "the plain type does all that its advanced name does"
	byRule   = "auto is the default level, so it works in every row"
	liveEnd  = "none works wherever there is a live end to start at"
	receipts = "a WebSocket proves receipt: by the pong to a ping, or by an explicit ack"
	sessions = "MQTT 3.1.1 keeps the same levels by persistent sessions"
	invented = "mock stands in for any broker, in tests and demonstrations"
)

// row is what is said of one pair: the seed's levels, and ours by reason.
type row struct {
	entrypoint, endpoint string
	seed                 []Level
	ours                 []addition
}

type addition struct {
	reason string
	levels []Level
}

var (
	live     = []Level{None, Auto}
	auto     = []Level{Auto}
	counted  = []Level{AtMostOnce, AtLeastOnce}
	resuming = []Level{Auto, AtMostOnce, AtLeastOnce}
	all      = []Level{None, Auto, AtMostOnce, AtLeastOnce}

	gained   = addition{advanced, counted}
	standard = addition{byRule, auto}
	live0    = addition{liveEnd, []Level{None}}
	proved   = addition{receipts, counted}
)

// table is the matrix, law at deployment (DESIGN section 5): a pair that is not here is refused, and so is a level that is
// not in its row. A level enters with the tests that prove it (test/grid), never before.
var table = []row{
	{"http-post", "kafka", live, nil},
	{"http-post", "kafka-advanced", live, nil},
	{"http-post", "mqtt5", live, nil},
	{"http-post", "mqtt5-advanced", live, nil},
	{"http-post", "mqtt", nil, older(live)},
	{"http-post", "mock", nil, mocked(live)},

	{"http-get", "kafka", auto, ours(gained)},
	{"http-get", "kafka-advanced", resuming, nil},
	{"http-get", "mqtt5", auto, nil},
	{"http-get", "mqtt5-advanced", auto, nil},
	{"http-get", "mqtt", nil, older(auto)},
	{"http-get", "mock", nil, mocked(resuming)},

	{"sse", "kafka", live, ours(gained)},
	{"sse", "kafka-advanced", all, nil},
	{"sse", "mqtt5", counted, ours(live0, standard)},
	{"sse", "mqtt5-advanced", counted, ours(live0, standard)},
	{"sse", "mqtt", nil, older(all)},
	{"sse", "mock", nil, mocked(all)},

	{"sse-advanced", "kafka", live, ours(gained)},
	{"sse-advanced", "kafka-advanced", all, nil},
	{"sse-advanced", "mqtt5", counted, ours(live0, standard)},
	{"sse-advanced", "mqtt5-advanced", counted, ours(live0, standard)},
	{"sse-advanced", "mqtt", nil, older(all)},
	{"sse-advanced", "mock", nil, mocked(all)},

	{"websocket", "kafka", live, ours(proved)},
	{"websocket", "kafka-advanced", live, ours(proved)},
	{"websocket", "mqtt5", live, ours(proved)},
	{"websocket", "mqtt5-advanced", live, ours(proved)},
	{"websocket", "mqtt", nil, older(all)},
	{"websocket", "mock", nil, mocked(all)},

	{"webhook", "kafka", live, ours(gained)},
	{"webhook", "kafka-advanced", all, nil},
	{"webhook", "mqtt5", counted, ours(live0, standard)},
	{"webhook", "mqtt5-advanced", counted, ours(live0, standard)},
	{"webhook", "mqtt", nil, older(all)},
	{"webhook", "mock", nil, mocked(all)},

	{"webhook-advanced", "kafka", live, ours(gained)},
	{"webhook-advanced", "kafka-advanced", all, nil},
	{"webhook-advanced", "mqtt5", counted, ours(live0, standard)},
	{"webhook-advanced", "mqtt5-advanced", counted, ours(live0, standard)},
	{"webhook-advanced", "mqtt", nil, older(all)},
	{"webhook-advanced", "mock", nil, mocked(all)},
}

func ours(a ...addition) []addition         { return a }
func older(levels []Level) []addition       { return []addition{{sessions, levels}} }
func mocked(levels []Level) []addition      { return []addition{{invented, levels}} }
func find(entrypoint, endpoint string) *row { return byPair[[2]string{entrypoint, endpoint}] }

// byPair finds the rows of table.
var byPair = func() map[[2]string]*row {
	out := make(map[[2]string]*row, len(table))
	for i := range table {
		r := &table[i]
		out[[2]string{r.entrypoint, r.endpoint}] = r
	}
	return out
}()

// levels are the seed's and ours, weakest first.
func (r *row) levels() []Level {
	out := slices.Clone(r.seed)
	for _, a := range r.ours {
		out = append(out, a.levels...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *row) cell(l Level) Cell {
	c := Cell{Entrypoint: r.entrypoint, Endpoint: r.endpoint, Level: l}
	if slices.Contains(r.seed, l) {
		c.Origin = Seed
		return c
	}
	for _, a := range r.ours {
		if slices.Contains(a.levels, l) {
			c.Origin, c.Reason = Addition, a.reason
		}
	}
	return c
}

// Entrypoints returns the entrypoint types of the matrix, in the order in which people are shown them.
func Entrypoints() []string { return slices.Clone(entrypointTypes) }

// Endpoints returns the endpoint types of the matrix, in the order in which people are shown them.
func Endpoints() []string { return slices.Clone(endpointTypes) }

// Levels returns all levels, weakest first.
func Levels() []Level { return slices.Clone(all) }

// Lookup returns what the matrix says of a level between two types; of types that it does not know, that it is refused.
func Lookup(entrypoint, endpoint string, level Level) Cell {
	if r := find(entrypoint, endpoint); r != nil {
		return r.cell(level)
	}
	return Cell{Entrypoint: entrypoint, Endpoint: endpoint, Level: level}
}

// Refusal tells people why a level cannot be had between two types and which can; "" where it can.
func Refusal(entrypoint, endpoint string, level Level) string {
	c := Lookup(entrypoint, endpoint, level)
	var text string
	switch {
	case c.Origin != Refused:
		return ""
	case find(entrypoint, endpoint) == nil:
		text = fmt.Sprintf("no level is possible between %s and %s", entrypoint, endpoint)
	default:
		text = fmt.Sprintf("%s is not possible between %s and %s", level, entrypoint, endpoint)
	}
	if names := SupportedNames(entrypoint, endpoint); len(names) > 0 {
		return text + "; choose one of: " + strings.Join(names, ", ")
	}
	return text + "; choose another endpoint"
}

// RefusalOf is Refusal for a level as definitions spell it.
func RefusalOf(entrypoint, endpoint, level string) string {
	l, ok := ParseLevel(level)
	if !ok {
		return fmt.Sprintf("%q is no quality of service", level)
	}
	return Refusal(entrypoint, endpoint, l)
}

// Supported returns the levels that are possible between an entrypoint and an endpoint type, weakest first; nil
// where there is none.
func Supported(entrypoint, endpoint string) []Level {
	if r := find(entrypoint, endpoint); r != nil {
		return r.levels()
	}
	return nil
}

// SupportedNames is Supported as definitions spell the levels.
func SupportedNames(entrypoint, endpoint string) []string {
	levels := Supported(entrypoint, endpoint)
	out := make([]string, 0, len(levels))
	for _, l := range levels {
		out = append(out, l.String())
	}
	return out
}

// LevelsOf returns every level that an entrypoint has with at least one endpoint, weakest first.
func LevelsOf(entrypoint string) []Level {
	return levelsOf(func(r *row) bool { return r.entrypoint == entrypoint })
}

// LevelsOfEndpoint returns every level that an endpoint has with at least one entrypoint, weakest first.
func LevelsOfEndpoint(endpoint string) []Level {
	return levelsOf(func(r *row) bool { return r.endpoint == endpoint })
}

func levelsOf(match func(*row) bool) []Level {
	out := []Level{}
	for i := range table {
		if match(&table[i]) {
			out = append(out, table[i].levels()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
