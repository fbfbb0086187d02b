package httpfront

import (
	"strings"

	"github.com/sluice-gateway/sluice/qos/message"
)

// fewHeaders is up to how many headers of a message are grouped by comparing all with all.
const fewHeaders = 24

// HeaderGroups gives each header name of a message once, in the order of first appearance and spelled as there, with all
// its values. Names are compared without case. For few headers it allocates nothing.
type HeaderGroups struct {
	headers []message.Header
	next    int
	room    [fewHeaders][]byte
	many    map[string][][]byte // by name in lower case; nil for few headers
}

// GroupHeaders returns the groups of headers.
func GroupHeaders(headers []message.Header) HeaderGroups {
	g := HeaderGroups{headers: headers}
	if len(headers) > fewHeaders { // comparing would take quadratic time
		g.many = make(map[string][][]byte, len(headers))
		for i := range headers {
			key := strings.ToLower(headers[i].Name)
			g.many[key] = append(g.many[key], headers[i].Value)
		}
	}
	return g
}

// Next returns the next name with its values, which are valid until the next call; false at the end.
func (g *HeaderGroups) Next() (name string, values [][]byte, ok bool) {
	for g.next < len(g.headers) {
		i := g.next
		g.next++
		name = g.headers[i].Name
		if g.many != nil {
			key := strings.ToLower(name)
			if values, ok = g.many[key]; ok {
				delete(g.many, key)
				return name, values, true
			}
			continue
		}
		if !seenBefore(g.headers[:i], name) {
			return name, g.valuesFrom(i), true
		}
	}
	return "", nil, false
}

func (g *HeaderGroups) valuesFrom(i int) [][]byte {
	values := append(g.room[:0], g.headers[i].Value)
	for j := i + 1; j < len(g.headers); j++ {
		if strings.EqualFold(g.headers[j].Name, g.headers[i].Name) {
			values = append(values, g.headers[j].Value)
		}
	}
	return values
}

func seenBefore(earlier []message.Header, name string) bool {
	for i := range earlier {
		if strings.EqualFold(earlier[i].Name, name) {
			return true
		}
	}
	return false
}
