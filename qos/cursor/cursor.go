// Package cursor is the one grammar for resume points (DESIGN section 5): what `Last-Event-ID`, `cursor=` and `from=`
// hold, and what message ids are. It reads and writes text; which positions exist is its callers' business. It does no
// I/O and starts no goroutine.
//
//	topic@partition#offset[,partition#offset...][;topic@...]   plain, or in base64
//	earliest | latest | @2026-11-22T10:00:00Z
//
// An offset is that of the last message processed, so resuming goes on at offset+1; -1 is "from the first".
package cursor

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of what is read from clients. A vector of 4096 partitions of one topic takes about 64 KiB of text.
const (
	MaxLength    = 128 << 10 // bytes of a cursor as the client sends it
	MaxPositions = 4096      // positions of a cursor
	maxTopic     = 249       // bytes of a topic's name (Kafka's org.apache.kafka.common.internals.Topic)
)

// Kind says how a cursor names a place.
type Kind uint8

// Kinds.
const (
	None     Kind = iota // no cursor: the saved checkpoint, else the endpoint's start rule
	Earliest             // the first message there is
	Latest               // the live end
	Time                 // the first message not older than Cursor.Time
	At                   // the positions of Cursor.At
)

// Position is a place in one partition: the offset of the last message processed, or -1 for none.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Cursor is a resume point.
type Cursor struct {
	Kind Kind
	Time time.Time
	At   []Position
}

// Parse reads a resume point. The error says what is wrong with the text, for the client that sent it.
func Parse(text string) (Cursor, error) {
	switch {
	case text == "":
		return Cursor{}, nil
	case len(text) > MaxLength:
		return Cursor{}, fmt.Errorf("is longer than %d bytes", MaxLength)
	case text == "earliest":
		return Cursor{Kind: Earliest}, nil
	case text == "latest":
		return Cursor{Kind: Latest}, nil
	case text[0] == '@':
		at, err := time.Parse(time.RFC3339, text[1:])
		if err != nil {
			return Cursor{}, fmt.Errorf("has no RFC 3339 time after @, as in @2026-11-22T10:00:00Z")
		}
		return Cursor{Kind: Time, Time: at}, nil
	}
	if strings.IndexByte(text, '#') < 0 { // neither # nor @ is in an alphabet of base64
		plain, err := decode(text)
		if err != nil {
			return Cursor{}, err
		}
		text = plain
	}
	at, err := parsePositions(text)
	return Cursor{Kind: At, At: at}, err
}

// decode undoes base64 of either alphabet, padded or not.
func decode(text string) (string, error) {
	enc := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		enc = base64.RawURLEncoding
	}
	plain, err := enc.Strict().DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return "", fmt.Errorf("is neither topic@partition#offset nor the base64 of it")
	}
	return string(plain), nil
}

func parsePositions(text string) ([]Position, error) {
	type place struct {
		topic     string
		partition int32
	}
	var out []Position
	seen := map[place]bool{}
	for part := range strings.SplitSeq(text, ";") {
		topic, list, ok := strings.Cut(part, "@")
		if !ok || !validTopic(topic) {
			return nil, fmt.Errorf("has no valid topic@partition#offset in %q", clip(part))
		}
		for item := range strings.SplitSeq(list, ",") {
			p, err := parsePosition(topic, item)
			if err != nil {
				return nil, err
			}
			if seen[place{topic, p.Partition}] {
				return nil, fmt.Errorf("names partition %d of topic %s twice", p.Partition, topic)
			}
			if len(out) == MaxPositions {
				return nil, fmt.Errorf("has more than %d positions", MaxPositions)
			}
			seen[place{topic, p.Partition}] = true
			out = append(out, p)
		}
	}
	return out, nil
}

func parsePosition(topic, item string) (Position, error) {
	partition, offset, ok := strings.Cut(item, "#")
	if !ok {
		return Position{}, fmt.Errorf("has no partition#offset in %q of topic %s", clip(item), topic)
	}
	n, err := strconv.ParseUint(partition, 10, 31)
	if err != nil {
		return Position{}, fmt.Errorf("has an invalid partition %q of topic %s", clip(partition), topic)
	}
	o, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || o < -1 || offset[0] == '+' {
		return Position{}, fmt.Errorf("has an invalid offset %q in partition %d of topic %s", clip(offset), n, topic)
	}
	return Position{Topic: topic, Partition: int32(n), Offset: o}, nil
}

func validTopic(name string) bool {
	if name == "" || len(name) > maxTopic {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

// clip bounds what of a client's text is repeated to it.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
