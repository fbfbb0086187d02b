package httpget

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// format writes a page in one media type. All methods but mediaType append to dst and return it.
type format interface {
	mediaType() string
	appendStart(dst []byte) []byte
	// appendItem appends a message that n others precede.
	appendItem(dst []byte, n int, m *message.Message, o options) []byte
	// appendEnd closes the items and appends what follows them.
	appendEnd(dst []byte, t *tail, o options) []byte
}

// options say what an item holds besides id and content.
type options struct{ headers, metadata bool }

// tail is what follows the items of a page.
type tail struct {
	gaps   []gap
	err    *message.Message // nil: none
	cursor []byte           // empty: the endpoint has no positions
	limit  string           // as the client gave it; empty: it did not
}

// gap is a loss that the client is told of.
type gap struct {
	after  int    // how many items of the page came before it
	detail []byte // a JSON object
}

// The offers of a page, in the order of preference where a client has none.
var (
	offers  = []string{"application/json", "application/xml", "text/plain"}
	formats = []format{jsonFormat{}, xmlFormat{}, textFormat{}}
)

const (
	offerJSON = 0 // for "*/*"
	offerText = 2 // for no Accept header
)

// detailJSON returns a gap's detail as JSON, whatever an endpoint wrote.
func (g *gap) detailJSON() []byte {
	if len(g.detail) > 0 && json.Valid(g.detail) {
		return g.detail
	}
	return httpfront.AppendJSONString(nil, g.detail)
}
