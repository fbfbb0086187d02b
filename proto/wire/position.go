package wire

import (
	"cmp"
	"strconv"
)

// At is a Position as a comparable value. The zero value is before everything.
type At struct {
	Epoch    uint64
	Revision uint64
}

// Compare orders by epoch, then by revision.
func (a At) Compare(b At) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Revision, b.Revision))
}

// Before tells whether a is earlier than b.
func (a At) Before(b At) bool { return a.Compare(b) < 0 }

// Position is the form on the wire.
func (a At) Position() *Position { return &Position{Epoch: a.Epoch, Revision: a.Revision} }

// String is "revision", or "epoch/revision" where the epoch is not 0.
func (a At) String() string {
	s := strconv.FormatUint(a.Revision, 10)
	if a.Epoch != 0 {
		s = strconv.FormatUint(a.Epoch, 10) + "/" + s
	}
	return s
}

// At reads the position; a nil one is the zero value.
func (x *Position) At() At { return At{Epoch: x.GetEpoch(), Revision: x.GetRevision()} }
