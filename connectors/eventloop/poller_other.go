//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// maxPollers: every connection has a goroutine here.
const maxPollers = 0

type poller struct{ driver }

func newPoller() (*poller, error)           { return nil, errors.ErrUnsupported }
func descriptor(net.Conn) (fd int, ok bool) { return 0, false }

func (*poller) add(*Conn) {}
func (*poller) run()      {}
func (*poller) stop()     {}
func (*poller) close()    {}
