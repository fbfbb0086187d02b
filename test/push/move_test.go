package push

import (
	"testing"
)

// TestFeed_MoveBetweenTagsIsNoOutage: an API that changes its tag stays served by a worker that has both.
func TestFeed_MoveBetweenTagsIsNoOutage(t *testing.T) {
	g, h, srv, leader, _ := cluster(t)
	both := startWorker(t, g, "both", []string{"a", "b"}, at(srv.URL()))
	onlyA := startWorker(t, g, "only-a", []string{"a"}, at(srv.URL()))
	waitReady(t, both)
	waitReady(t, onlyA)
	waitLive(t, leader, 2)
	tags := []string{"a", "b"}
	var last uint64
	for i := range 20 {
		last = h.deploy("orders", []byte{byte('0' + i)}, tags[i%2])
		_, err := leader.Await(within(t), "orders", last)
		must(t, err)
	}
	both.sink.serves(t, map[string]uint64{"orders": last})
	onlyA.sink.serves(t, nil)
	for i, u := range both.sink.seen() {
		if len(u.Removed) > 0 {
			t.Fatalf("update %d took the API away: %+v", i, u)
		}
	}
	gone := h.remove("orders")
	out, err := leader.Await(within(t), "orders", gone)
	must(t, err)
	if !out.Served() {
		t.Fatalf("outcome %+v", out)
	}
	both.sink.serves(t, nil)
}
