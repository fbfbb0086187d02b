package httppost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos/message"
)

// Media types of batches. A plain application/json body stays one message, also where it is an array: clients rely on it.
const (
	typeLines     = "application/x-ndjson"                // each line is the content of a message, as it is
	typeElements  = "application/vnd.sluice.batch+json"   // an array of elements
	typeElementsL = "application/vnd.sluice.batch+ndjson" // an element per line
)

// keyInvalid is the failure key of a batch that cannot be read; nothing of it is stored. It never changes meaning.
const keyInvalid = "REQUEST_BATCH_INVALID"

// maxHeaders bounds the headers of one element.
const maxHeaders = 1000

// form is how a body holds its messages.
type form uint8

const (
	whole        form = iota // the body is the message
	lines                    // typeLines
	elements                 // typeElements
	elementLines             // typeElementsL
)

func formOf(contentType []byte) form {
	name, _, _ := bytes.Cut(contentType, []byte{';'})
	name = bytes.TrimSpace(name)
	switch {
	case bytes.EqualFold(name, []byte(typeLines)):
		return lines
	case bytes.EqualFold(name, []byte(typeElements)):
		return elements
	case bytes.EqualFold(name, []byte(typeElementsL)):
		return elementLines
	}
	return whole
}

// element is one message of a body. What it holds may be parts of the body.
type element struct {
	key, content []byte // nil: none
	headers      []message.Header
	topic        string // empty: where the endpoint says
}

// reader reads the elements of a body.
type reader struct {
	most   int      // how many there may be
	topics []string // that they may name
	found  []element
}

var errTooMany = errors.New("too many messages")

// read returns all elements, or why nothing of the body can be stored.
func (r *reader) read(body []byte, f form) ([]element, *message.Failure) {
	var err error
	switch f {
	case whole:
		return []element{{content: body}}, nil
	case lines:
		err = r.lines(body, func(line []byte) (element, error) {
			if !json.Valid(line) { // else a document of several lines would be torn apart
				return element{}, errors.New("is not JSON")
			}
			return element{content: line}, nil
		})
	case elementLines:
		err = r.lines(body, r.element)
	case elements:
		err = r.array(body)
	}
	switch {
	case errors.Is(err, errTooMany):
		return nil, &message.Failure{Status: fasthttp.StatusRequestEntityTooLarge, Key: keyInvalid,
			Message: fmt.Sprintf("Batch too large: more than %d messages; nothing was stored", r.most)}
	case err != nil:
		return nil, &message.Failure{Status: fasthttp.StatusBadRequest, Key: keyInvalid,
			Message: "Invalid batch: " + err.Error() + "; nothing was stored"}
	}
	return r.found, nil
}

func (r *reader) add(e element) error {
	if len(r.found) == r.most {
		return errTooMany
	}
	r.found = append(r.found, e)
	return nil
}

// lines reads one element per line; empty ones are passed over.
func (r *reader) lines(body []byte, read func(line []byte) (element, error)) error {
	for number := 1; len(body) > 0; number++ {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		e, err := read(line)
		if err == nil {
			err = r.add(e)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	return nil
}

// array reads a JSON array of elements.
func (r *reader) array(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return errors.New("must be a JSON array")
	}
	for dec.More() {
		at := "/" + strconv.Itoa(len(r.found))
		var raw json.RawMessage
		err := dec.Decode(&raw)
		var e element
		if err == nil {
			e, err = r.element(raw)
		}
		if err == nil {
			err = r.add(e)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("the array does not end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the array")
	}
	return nil
}

// envelope is an element as JSON. Of those that say the same thing in two ways only one may be there.
type envelope struct {
	Key           json.RawMessage `json:"key"`           // text; null: none
	KeyBase64     *string         `json:"keyBase64"`     // bytes
	Content       json.RawMessage `json:"content"`       // text: its bytes; null: a message without content; other JSON: as it is
	Value         json.RawMessage `json:"value"`         // another name of content
	ContentBase64 *string         `json:"contentBase64"` // bytes
	Headers       json.RawMessage `json:"headers"`       // an object of texts or lists of texts
	Topic         *string         `json:"topic"`         // one of batchTopics
}

// element reads one element.
func (r *reader) element(raw []byte) (element, error) {
	var e element
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return e, errors.New("must be an object with content")
	}
	if !utf8.Valid(raw) { // encoding/json would replace what is not, and nobody would know
		return e, errors.New("is not UTF-8; bytes go into contentBase64 and keyBase64")
	}
	var v envelope
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return e, fmt.Errorf("%s must be text", wrong.Field)
		}
		return e, err
	}
	if dec.InputOffset() != int64(len(raw)) {
		return e, errors.New("something follows the object")
	}
	if v.Content != nil && v.Value != nil {
		return e, errors.New("content and value are the same, only one may be there")
	}
	if v.Content == nil {
		v.Content = v.Value
	}
	var err error
	if e.content, err = bytesOf("content", v.Content, v.ContentBase64); err != nil {
		return e, err
	}
	if v.Content == nil && v.ContentBase64 == nil {
		return e, errors.New("has no content")
	}
	if len(v.Key) > 0 && v.Key[0] != '"' && string(v.Key) != "null" {
		return e, errors.New("key must be text")
	}
	if e.key, err = bytesOf("key", v.Key, v.KeyBase64); err != nil {
		return e, err
	}
	if v.Topic != nil {
		if !slices.Contains(r.topics, *v.Topic) {
			return e, fmt.Errorf("topic %q is not among those that may be named here (batchTopics)", *v.Topic)
		}
		e.topic = *v.Topic
	}
	e.headers, err = headersOf(v.Headers)
	return e, err
}

// bytesOf returns the bytes that are given as JSON or in base64 (RFC 4648 section 4).
func bytesOf(name string, raw json.RawMessage, encoded *string) ([]byte, error) {
	switch {
	case raw != nil && encoded != nil:
		return nil, fmt.Errorf("only one of %s and %sBase64 may be there", name, name)
	case encoded != nil:
		b, err := base64.StdEncoding.DecodeString(*encoded)
		if err != nil {
			return nil, fmt.Errorf("%sBase64: %w", name, err)
		}
		return b, nil
	case raw == nil || string(raw) == "null":
		return nil, nil
	case raw[0] != '"':
		return raw, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return append([]byte{}, text...), nil // empty, not absent
}

// headersOf reads headers in the order in which they stand.
func headersOf(raw json.RawMessage) ([]message.Header, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	if raw[0] != '{' {
		return nil, errors.New("headers must be an object")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	_, _ = dec.Token() // of valid JSON: the brace
	var out []message.Header
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if out, err = appendHeader(out, name, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func appendHeader(out []message.Header, name string, value any) ([]message.Header, error) {
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	for _, v := range values {
		text, ok := v.(string)
		switch {
		case name == "":
			return nil, errors.New("a header has no name")
		case !ok:
			return nil, fmt.Errorf("header %q must be text or a list of texts", name)
		case len(out) == maxHeaders:
			return nil, fmt.Errorf("more than %d headers", maxHeaders)
		}
		out = append(out, message.Header{Name: name, Value: []byte(text)})
	}
	return out, nil
}
