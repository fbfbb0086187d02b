package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Formats of batches.
const (
	formatJSON   = "json"
	formatNDJSON = "ndjson"
)

var mediaTypes = map[string]string{formatJSON: "application/json", formatNDJSON: "application/x-ndjson"}

// entry is one message in a batch.
type entry struct {
	ID        string          `json:"id"`
	Key       *string         `json:"key,omitempty"`
	KeyBase64 bool            `json:"keyBase64,omitempty"` // Key is base64, being no text
	Timestamp int64           `json:"timestamp,omitempty"` // Unix milliseconds
	Headers   []field         `json:"headers,omitempty"`
	Encoding  string          `json:"encoding,omitempty"` // of Content: json, text or base64; absent: there is none
	Content   json.RawMessage `json:"content"`
}

type field struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Base64 bool   `json:"base64,omitempty"`
}

// appendBatch appends what a lane's taken messages are in a format.
func appendBatch(dst []byte, format string, l *lane) []byte {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if format == formatJSON {
		_ = buf.WriteByte('[')
	}
	i := 0
	for it := range l.load {
		if err := enc.Encode(entryOf(l, it, i)); err != nil {
			panic(err) // an entry is text, numbers and valid JSON
		}
		if format == formatJSON {
			buf.Truncate(buf.Len() - 1) // the line break
			if i < l.taken-1 {
				_ = buf.WriteByte(',')
			}
		}
		i++
	}
	if format == formatJSON {
		_ = buf.WriteByte(']')
	}
	return buf.Bytes()
}

// entryOf is the i-th item of a lane.
func entryOf(l *lane, it *item, i int) entry {
	m := it.m
	e := entry{Timestamp: m.Timestamp}
	switch {
	case it.positional:
		e.ID = string(appendPosition(nil, m))
	case len(m.ID) > 0:
		e.ID = string(m.ID)
	default:
		e.ID = l.id + "-" + strconv.Itoa(i)
	}
	if m.Key != nil {
		text, coded := textOf(m.Key)
		e.Key, e.KeyBase64 = &text, coded
	}
	for i := range m.Headers {
		text, coded := textOf(m.Headers[i].Value)
		e.Headers = append(e.Headers, field{m.Headers[i].Name, text, coded})
	}
	e.Encoding, e.Content = contentOf(m)
	return e
}

// textOf is b as it is where it is text, else in base64.
func textOf(b []byte) (text string, coded bool) {
	if utf8.Valid(b) {
		return string(b), false
	}
	return base64.StdEncoding.EncodeToString(b), true
}

func contentOf(m *message.Message) (encoding string, content json.RawMessage) {
	if m.Content == nil {
		return "", json.RawMessage("null")
	}
	if json.Valid(m.Content) && utf8.Valid(m.Content) {
		return "json", m.Content // the encoder compacts it, so that it is one line
	}
	text, coded := textOf(m.Content)
	quoted, _ := json.Marshal(text) // text can always be written
	if coded {
		return "base64", quoted
	}
	return "text", quoted
}
