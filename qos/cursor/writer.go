package cursor

import (
	"encoding/base64"
	"sort"
	"strconv"
)

// Append appends the cursor of the positions to dst, in base64 or plain. Positions of one topic must be neighbours. It
// allocates only to grow dst.
func Append(dst []byte, at []Position, encode bool) []byte {
	if len(at) == 0 {
		return dst
	}
	start := len(dst)
	for i := range at {
		dst = appendPosition(dst, at, i)
	}
	if !encode {
		return dst
	}
	return encodeInPlace(dst, start)
}

func appendPosition(dst []byte, at []Position, i int) []byte {
	switch {
	case i > 0 && at[i].Topic == at[i-1].Topic:
		dst = append(dst, ',')
	case i > 0:
		dst = append(dst, ';')
		fallthrough
	default:
		dst = append(append(dst, at[i].Topic...), '@')
	}
	dst = append(strconv.AppendInt(dst, int64(at[i].Partition), 10), '#')
	return strconv.AppendInt(dst, at[i].Offset, 10)
}

// encodeInPlace replaces what follows start by its base64. Encoding goes from the end, so that nothing is overwritten
// before it was read.
func encodeInPlace(dst []byte, start int) []byte {
	n := len(dst) - start
	dst = append(dst, make([]byte, base64.StdEncoding.EncodedLen(n)-n)...)
	out := dst[start:]
	for i := (n - 1) / 3; i >= 0; i-- {
		var group [3]byte
		k := copy(group[:], out[3*i:min(3*i+3, n)])
		base64.StdEncoding.Encode(out[4*i:4*i+4], group[:k])
	}
	return dst
}

// Writer renders the cursor of a position vector again and again, as ids of successive messages need it: a step costs the
// few digits that changed, not the vector. The zero value has no positions. It is for one goroutine.
type Writer struct {
	encode bool
	at     []Position // in the order of the text
	slot   []int      // index of the caller's vector -> index of at
	field  []span     // where the offset of at[i] stands in text
	text   []byte
	coded  []byte // base64 of text
}

type span struct{ from, to int }

// Reset takes a new vector. The order of the positions is the caller's; the text groups them by topic, in order of first
// appearance, with ascending partitions.
func (w *Writer) Reset(vector []Position, encode bool) {
	rank := make(map[string]int)
	for _, p := range vector {
		if _, ok := rank[p.Topic]; !ok {
			rank[p.Topic] = len(rank)
		}
	}
	order := make([]int, len(vector))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := vector[order[i]], vector[order[j]]
		if a.Topic != b.Topic {
			return rank[a.Topic] < rank[b.Topic]
		}
		return a.Partition < b.Partition
	})
	w.encode = encode
	w.at = make([]Position, len(vector))
	w.slot = make([]int, len(vector))
	w.field = make([]span, len(vector))
	for to, from := range order {
		w.at[to] = vector[from]
		w.slot[from] = to
	}
	w.render()
}

// Set changes the offset of the i-th position of the vector.
func (w *Writer) Set(i int, offset int64) {
	at := w.slot[i]
	w.at[at].Offset = offset
	f := w.field[at]
	var digits [20]byte
	text := strconv.AppendInt(digits[:0], offset, 10)
	if len(text) != f.to-f.from {
		w.render()
		return
	}
	field, changed := w.text[f.from:f.to], 0
	for changed < len(text) && text[changed] == field[changed] {
		changed++
	}
	copy(field[changed:], text[changed:])
	if w.encode && changed < len(text) {
		from, to := (f.from+changed)/3, (f.to+2)/3
		base64.StdEncoding.Encode(w.coded[4*from:], w.text[3*from:min(3*to, len(w.text))])
	}
}

// Len is the length of the cursor, in bytes.
func (w *Writer) Len() int { return len(w.bytes()) }

// Append appends the cursor to dst.
func (w *Writer) Append(dst []byte) []byte { return append(dst, w.bytes()...) }

func (w *Writer) bytes() []byte {
	if w.encode {
		return w.coded
	}
	return w.text
}

func (w *Writer) render() {
	w.text = w.text[:0]
	for i := range w.at {
		w.text = appendPosition(w.text, w.at, i)
		digits := len(w.text)
		for digits > 0 && w.text[digits-1] != '#' {
			digits--
		}
		w.field[i] = span{digits, len(w.text)}
	}
	if w.encode {
		w.coded = base64.StdEncoding.AppendEncode(w.coded[:0], w.text)
	}
}
