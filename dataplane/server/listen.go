package server

import (
	"context"
	"fmt"
	"net"

	"github.com/valyala/fasthttp/reuseport"
)

// Listen opens n listeners on one TCP address; more than one share the port (SO_REUSEPORT), so that the kernel spreads
// connections over as many accept queues.
func Listen(ctx context.Context, address string, n int) ([]net.Listener, error) {
	if n <= 1 {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		return []net.Listener{ln}, nil
	}
	var out []net.Listener
	for range n {
		ln, err := reuseport.Listen("tcp4", address)
		if err != nil {
			for _, open := range out {
				_ = open.Close() // the first error is the one to tell
			}
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		out = append(out, ln)
		address = ln.Addr().String() // port 0: the others share what the first one got
	}
	return out, nil
}
