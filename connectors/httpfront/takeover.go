package httpfront

import (
	"net"
	"time"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// TakeOver returns the connection below what fasthttp gives to a hijack handler, which would keep the buffer of its requests
// alive, and what the client has sent already and that buffer holds; nil: nothing.
func TakeOver(c net.Conn) (net.Conn, []byte) {
	wrapper, ok := c.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return c, nil
	}
	nc := wrapper.UnsafeConn()
	if nc.SetReadDeadline(longAgo) != nil { // so that only what was read before is read
		return nc, nil
	}
	b := GetBuffer()
	defer PutBuffer(b)
	var early []byte
	for {
		n, err := c.Read((*b)[:cap(*b)])
		early = append(early, (*b)[:n]...)
		if err != nil { // the deadline, or an end that will be found again
			_ = nc.SetReadDeadline(time.Time{}) // refused only by a closed connection
			return nc, early
		}
	}
}
