//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"
)

// mockOf builds an API over the mock endpoint.
func mockOf(t *testing.T, path string, entrypoints ...object) []byte {
	t.Helper()
	return encode(t, object{
		"name": t.Name(), "apiVersion": "1.0", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{{"type": "HTTP", "paths": []object{{"path": path}}, "entrypoints": entrypoints}},
		"endpointGroups": []object{{"name": "mock", "type": "mock", "endpoints": []object{{
			"name": "mock-1", "type": "mock", "configuration": object{"messageInterval": 20, "messageContent": "hi"},
		}}}},
		"plans": []object{keyless},
	})
}

const clientHeader = "X-Gravitee-Client-Identifier"

// TestMock_StreamsByLevel leaves a stream after some messages and comes back under the same name: under at-least-once
// nothing is passed over, under at-most-once nothing comes twice.
func TestMock_StreamsByLevel(t *testing.T) {
	t.Parallel()
	dev := sharedDev(t)
	for _, kind := range []string{"sse", "sse-advanced"} {
		for _, level := range []string{"AT_LEAST_ONCE", "AT_MOST_ONCE"} {
			t.Run(kind+" "+level, func(t *testing.T) {
				t.Parallel()
				path := "/mock-" + kind + level
				deploy(t, dev, mockOf(t, path, entrypoint(kind, level, nil)))
				last := -1 // the last message that the client has
				for connection := range 3 {
					headers := []string{clientHeader, "me"}
					if level == "AT_LEAST_ONCE" && last >= 0 { // its TCP may have taken more than it read, and that counts as received
						headers = append(headers, "Last-Event-ID", strconv.Itoa(last))
					}
					s := openSSE(t.Context(), t, dev.Gateway+path, headers...)
					for i := range 5 {
						e, err := s.nextMessage()
						if err != nil {
							t.Fatal(err)
						}
						id, err := strconv.Atoi(e.id)
						if err != nil {
							t.Fatal(err)
						}
						switch {
						case i > 0 && id != last+1:
							t.Errorf("connection %d: %d after %d", connection, id, last)
						case level == "AT_LEAST_ONCE" && id != last+1:
							t.Errorf("connection %d begins with %d, the client has %d", connection, id, last)
						case level == "AT_MOST_ONCE" && id <= last:
							t.Errorf("connection %d begins with %d again", connection, id)
						}
						last = id
					}
					s.body.Close()
				}
				if last < 8 { // what was proven is not given again and again
					t.Errorf("15 messages read, the last is %d", last)
				}
			})
		}
	}
}

// TestMock_PagesByLevel reads pages under one name: under at-least-once a page comes again until its cursor is given, under
// at-most-once never.
func TestMock_PagesByLevel(t *testing.T) {
	t.Parallel()
	dev := sharedDev(t)
	for _, level := range []string{"AT_LEAST_ONCE", "AT_MOST_ONCE"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			path := "/mock-get" + level
			deploy(t, dev, mockOf(t, path, entrypoint("http-get", level, object{"messagesLimitCount": 3})))
			page := func(query string) (ids string, cursor string) {
				status, body, err := get(t.Context(), dev.Gateway+path+query, clientHeader, "me", "Accept", "application/json")
				var p struct {
					Items      []struct{ ID string }
					Pagination struct{ NextCursor string }
				}
				if err == nil {
					err = json.Unmarshal([]byte(body), &p)
				}
				if err != nil || status != http.StatusOK {
					t.Fatalf("%d %s %v", status, body, err)
				}
				for _, item := range p.Items {
					ids += item.ID
				}
				return ids, p.Pagination.NextCursor
			}
			again, forth, back := "012", "345", "345" // without a cursor, with the last one, with an older one
			if level == "AT_MOST_ONCE" {
				again, forth, back = "345", "678", "91011"
			}
			if ids, _ := page(""); ids != "012" {
				t.Errorf("first page %s", ids)
			}
			ids, cursor := page("")
			if ids != again {
				t.Errorf("without a cursor %s, want %s", ids, again)
			}
			if ids, _ := page("?cursor=" + cursor); ids != forth {
				t.Errorf("with the cursor %s, want %s", ids, forth)
			}
			if ids, _ := page("?from=" + cursor); ids != back {
				t.Errorf("with the cursor again %s, want %s", ids, back)
			}
		})
	}
}
