package store

import (
	"encoding/binary"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/proto/peer"
)

// writeFrame sends m behind its length.
func writeFrame(w io.Writer, m proto.Message) error {
	b, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, 4, 256), m)
	if err != nil {
		return fmt.Errorf("encode peer message: %w", err)
	}
	if len(b)-4 > peer.MaxBytes {
		return fmt.Errorf("%w: a message of %d bytes", ErrRefused, len(b)-4)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4)) //nolint:gosec // at most peer.MaxBytes
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("send peer message: %w", err)
	}
	return nil
}

// readFrame receives into m; a length over the limit ends the connection.
func readFrame(r io.Reader, m proto.Message) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("receive peer message: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > peer.MaxBytes {
		return fmt.Errorf("%w: a message of %d bytes", ErrRefused, n)
	}
	body, err := io.ReadAll(io.LimitReader(r, int64(n))) // grows with what arrives, not with what is claimed
	if err != nil {
		return fmt.Errorf("receive peer message: %w", err)
	}
	if len(body) != int(n) {
		return fmt.Errorf("receive peer message: %w", io.ErrUnexpectedEOF)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return fmt.Errorf("decode peer message: %w", err)
	}
	return nil
}
