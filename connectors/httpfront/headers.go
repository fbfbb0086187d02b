package httpfront

import (
	"iter"
	"strings"

	"github.com/sluice-gateway/sluice/qos/message"
)

// fewHeaders is up to how many headers of a message are grouped by comparing all with all.
const fewHeaders = 24

// GroupHeaders gives each header name once, in the order of first appearance and spelled as there, with all its values. Names
// are compared without case. The values are valid until the next step.
func GroupHeaders(headers []message.Header) iter.Seq2[string, [][]byte] {
	if len(headers) > fewHeaders {
		return groupMany(headers)
	}
	return func(yield func(string, [][]byte) bool) {
		var room [fewHeaders][]byte
		for i := range headers {
			if seenBefore(headers[:i], headers[i].Name) {
				continue
			}
			values := append(room[:0], headers[i].Value)
			for j := i + 1; j < len(headers); j++ {
				if strings.EqualFold(headers[j].Name, headers[i].Name) {
					values = append(values, headers[j].Value)
				}
			}
			if !yield(headers[i].Name, values) {
				return
			}
		}
	}
}

func seenBefore(earlier []message.Header, name string) bool {
	for i := range earlier {
		if strings.EqualFold(earlier[i].Name, name) {
			return true
		}
	}
	return false
}

// groupMany is GroupHeaders for messages that would take quadratic time.
func groupMany(headers []message.Header) iter.Seq2[string, [][]byte] {
	return func(yield func(string, [][]byte) bool) {
		groups := make(map[string][][]byte, len(headers))
		for i := range headers {
			key := strings.ToLower(headers[i].Name)
			groups[key] = append(groups[key], headers[i].Value)
		}
		for i := range headers {
			key := strings.ToLower(headers[i].Name)
			values, ok := groups[key]
			if !ok {
				continue
			}
			delete(groups, key)
			if !yield(headers[i].Name, values) {
				return
			}
		}
	}
}
