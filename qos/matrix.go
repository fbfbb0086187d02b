package qos

import "sort"

// cell is one place of the matrix: which levels are kept between an entrypoint and an endpoint.
type cell struct{ entrypoint, endpoint string }

// matrix is law at deployment: a combination that is not here is refused with the ones that are (DESIGN section 5).
// It lists what is proved by tests, nothing more.
var matrix = map[cell][]Level{
	{"http-post", "kafka"}: {None, Auto},
	{"http-post", "mqtt5"}: {None, Auto},
	{"http-post", "mock"}:  {None, Auto},
	{"http-get", "kafka"}:  {Auto},
	{"http-get", "mqtt5"}:  {Auto},
	{"http-get", "mock"}:   {Auto},
	{"sse", "kafka"}:       {None, Auto},
	{"sse", "mqtt5"}:       {None, Auto},
	{"sse", "mock"}:        {None, Auto},
	{"websocket", "kafka"}: {None, Auto},
	{"websocket", "mqtt5"}: {None, Auto},
	{"websocket", "mock"}:  {None, Auto},
}

// Supported returns the levels possible between an entrypoint and an endpoint type, weakest first; nil where the two
// cannot be combined at all. The result must not be changed.
func Supported(entrypoint, endpoint string) []Level { return matrix[cell{entrypoint, endpoint}] }

// SupportedNames is Supported as definitions spell the levels.
func SupportedNames(entrypoint, endpoint string) []string {
	levels := Supported(entrypoint, endpoint)
	out := make([]string, 0, len(levels))
	for _, l := range levels {
		out = append(out, l.String())
	}
	return out
}

// LevelsOf returns every level that an entrypoint keeps with at least one endpoint, weakest first.
func LevelsOf(entrypoint string) []Level {
	seen := map[Level]bool{}
	for c, levels := range matrix {
		if c.entrypoint == entrypoint {
			for _, l := range levels {
				seen[l] = true
			}
		}
	}
	return sorted(seen)
}

// LevelsOfEndpoint returns every level that an endpoint keeps with at least one entrypoint, weakest first.
func LevelsOfEndpoint(endpoint string) []Level {
	seen := map[Level]bool{}
	for c, levels := range matrix {
		if c.endpoint == endpoint {
			for _, l := range levels {
				seen[l] = true
			}
		}
	}
	return sorted(seen)
}

func sorted(seen map[Level]bool) []Level {
	out := make([]Level, 0, len(seen))
	for l := range seen {
		out = append(out, l)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}
