package tlsstore

import (
	"encoding/binary"
	"errors"
)

// jksMagic begins a JKS file, jceksMagic its successor's.
const (
	jksMagic   = 0xFEEDFEED
	jceksMagic = 0xCECECECE
)

func isJKS(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) == jksMagic
}

func isJCEKS(data []byte) bool {
	return len(data) >= 4 && binary.BigEndian.Uint32(data) == jceksMagic
}

var errJKS = errors.New("is not a JKS file, or damaged")

// measureJKS walks the lengths in a JKS file: the library that reads it allocates what they say.
func measureJKS(data []byte) error {
	w := jksWalk{data: data}
	w.skip(4)
	version, entries := w.uint32(), w.uint32()
	for range entries {
		if w.bad {
			return errJKS
		}
		kind := w.uint32()
		w.text()  // alias
		w.skip(8) // date
		certificates := uint32(1)
		if kind == 1 { // a private key with its chain; 2 is a certificate
			w.skip(w.uint32())
			certificates = w.uint32()
		}
		for range certificates {
			if version == 2 {
				w.text() // X.509
			}
			w.skip(w.uint32())
			if w.bad {
				return errJKS
			}
		}
	}
	if w.bad {
		return errJKS
	}
	return nil
}

type jksWalk struct {
	data []byte
	bad  bool
}

func (w *jksWalk) skip(n uint32) {
	if uint64(n) > uint64(len(w.data)) {
		w.bad, w.data = true, nil
		return
	}
	w.data = w.data[n:]
}

func (w *jksWalk) uint32() uint32 {
	if len(w.data) < 4 {
		w.bad, w.data = true, nil
		return 0
	}
	n := binary.BigEndian.Uint32(w.data)
	w.data = w.data[4:]
	return n
}

func (w *jksWalk) text() {
	if len(w.data) < 2 {
		w.bad, w.data = true, nil
		return
	}
	n := binary.BigEndian.Uint16(w.data)
	w.data = w.data[2:]
	w.skip(uint32(n))
}
