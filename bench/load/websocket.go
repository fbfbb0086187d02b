package load

import (
	"encoding/binary"
	"fmt"
)

// WebSocket opcodes (RFC 6455 section 11.8).
const (
	opContinuation, opText, opBinary = 0, 1, 2
	opClose, opPing, opPong          = 8, 9, 10
)

// frames parses what a WebSocket server sends. Of a message only the stamp is kept; pings are answered, which under
// at-least-once is the proof of receipt.
type frames struct {
	c       *conn
	head    []byte // a frame's head as far as it came
	op      byte
	left    uint64 // of the payload
	payload []byte // as much of it as is needed
}

// kept is how much of a payload is kept: a stamp, or all of a control frame (RFC 6455 section 5.5).
func (f *frames) kept() int {
	if f.op >= opClose {
		return 125
	}
	return StampSize
}

func (f *frames) feed(p []byte) error {
	for len(p) > 0 {
		if f.left == 0 {
			var whole bool
			var err error
			if p, whole, err = f.header(p); err != nil || !whole {
				return err
			}
		}
		n := min(uint64(len(p)), f.left)
		if room := f.kept() - len(f.payload); room > 0 {
			f.payload = append(f.payload, p[:min(int(n), room)]...)
		}
		p = p[n:]
		if f.left -= n; f.left == 0 {
			if err := f.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// header takes the head of the next frame that has a payload; an empty one ends at once.
func (f *frames) header(p []byte) (rest []byte, whole bool, err error) {
	for len(p) > 0 {
		f.head = append(f.head, p[0])
		p = p[1:]
		need := 2
		if len(f.head) >= 2 {
			switch f.head[1] & 0x7f {
			case 126:
				need = 4
			case 127:
				need = 10
			}
		}
		if len(f.head) < 2 || len(f.head) < need {
			continue
		}
		f.op = f.head[0] & 0x0f
		switch need {
		case 2:
			f.left = uint64(f.head[1] & 0x7f)
		case 4:
			f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
		default:
			f.left = binary.BigEndian.Uint64(f.head[2:])
		}
		f.head, f.payload = f.head[:0], f.payload[:0]
		if f.left > 0 {
			return p, true, nil
		}
		if err := f.end(); err != nil {
			return nil, false, err
		}
	}
	return nil, false, nil
}

func (f *frames) end() error {
	switch f.op {
	case opText, opBinary, opContinuation:
		f.c.got(f.payload)
	case opPing:
		// A mask of zeros leaves the payload as it is.
		pong := append([]byte{0x80 | opPong, 0x80 | byte(len(f.payload)), 0, 0, 0, 0}, f.payload...)
		if _, err := f.c.net.Write(pong); err != nil {
			return err
		}
	case opClose:
		return fmt.Errorf("the server closed: %q", f.payload)
	}
	return nil
}
