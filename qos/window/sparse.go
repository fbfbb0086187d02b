package window

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// MaxText bounds the text of sparse acks, in bytes: Kafka's default for offset.metadata.max.bytes.
const MaxText = 4096

const (
	version = "1"
	maxRaw  = (MaxText - len(version)) * 3 / 4
)

// AppendRanges appends what is acked above the position, as text for the metadata of its commit; nothing where there is
// none: what the window holds, and what was restored and lies ahead of it. What does not fit into MaxText is left out from
// the top: that costs deliveries again, never a message.
func (w *Window) AppendRanges(dst []byte) []byte {
	var scratch [maxRaw + 3*binary.MaxVarintLen64]byte
	raw := binary.AppendUvarint(scratch[:0], uint64(w.position))
	end, any := w.position, false
	add := func(from, to int64) bool {
		fits := len(raw)
		raw = binary.AppendUvarint(raw, uint64(from-end))
		raw = binary.AppendUvarint(raw, uint64(to-from))
		if len(raw) > maxRaw {
			raw = raw[:fits]
			return false
		}
		end, any = to, true
		return true
	}
	fits := true
	for i := 0; fits && i < w.n; i++ {
		if !w.isAcked(i) {
			continue
		}
		from := w.offset(i)
		for i+1 < w.n && w.isAcked(i+1) {
			i++
		}
		fits = add(from, w.offset(i)+1)
	}
	for i := 0; fits && i < len(w.restored); i++ {
		if from, to := max(w.restored[i].From, w.next), w.restored[i].To; from < to && from > end {
			fits = add(from, to)
		}
	}
	if !any {
		return dst
	}
	return base64.RawURLEncoding.AppendEncode(append(dst, version...), raw)
}

// DecodeRanges reads what AppendRanges wrote beside position, lowest first. Empty text is no range. Text of another
// position, as is left when someone moves a group by hand, is ErrForeign: to be ignored, for it would skip messages.
func DecodeRanges(text string, position int64) ([]Range, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > MaxText || text[:1] != version {
		return nil, ErrForeign
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text[1:])
	if err != nil {
		return nil, ErrForeign
	}
	at, raw, ok := number(raw)
	if !ok || int64(at) != position {
		return nil, ErrForeign
	}
	var out []Range
	for end := at; len(raw) > 0; {
		var skip, length uint64
		if skip, raw, ok = number(raw); !ok || skip == 0 {
			return nil, ErrForeign
		}
		if length, raw, ok = number(raw); !ok || length == 0 || skip+length > math.MaxInt64-end {
			return nil, ErrForeign
		}
		out = append(out, Range{int64(end + skip), int64(end + skip + length)})
		end += skip + length
	}
	return out, nil
}

// number reads one number that fits an offset.
func number(raw []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(raw)
	if n <= 0 || v > math.MaxInt64/2 {
		return 0, nil, false
	}
	return v, raw[n:], true
}
