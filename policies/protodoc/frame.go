package protodoc

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxNested bounds how many numbers tell the place of a message in a schema: how deep messages are declared within each other.
const maxNested = 32

// Open takes what Confluent's wire format has in front of a message away: a zero byte, the id of the schema in 4 bytes, and
// the place of the message in the schema.
func Open(content []byte) (id int, index []int, message []byte, err error) {
	var header sr.ConfluentHeader
	id, rest, err := header.DecodeID(content)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("the content does not begin with a zero byte and a schema id: %w", err)
	}
	if index, message, err = header.DecodeIndex(rest, maxNested); err != nil {
		return 0, nil, nil, fmt.Errorf("the content does not tell the place of its message behind the schema id: %w", err)
	}
	return id, index, message, nil
}

// Frame writes what is in front of the first message of the schema with an id.
func Frame(id int) []byte {
	out, _ := new(sr.ConfluentHeader).AppendEncode(nil, id, First) // never fails
	return out
}
