package grid

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/qos"
)

// Direction is which way messages go.
type Direction string

// Directions.
const (
	Subscribe Direction = "subscribe" // from the broker to a client
	Publish   Direction = "publish"   // from a client to the broker
)

// Cell is one place of the matrix, in one direction, and one kind of client of it.
type Cell struct {
	Entrypoint string    `json:"entrypoint"`
	Endpoint   string    `json:"endpoint"`
	Level      string    `json:"level"`
	Direction  Direction `json:"direction"`
	Client     string    `json:"client,omitempty"`
}

// Kinds of clients, where an entrypoint has several.
const (
	Usual     = ""          // gives an identifier; see the drivers
	Anonymous = "anonymous" // sse: no identifier, its last id alone says where it is
	V1        = "sluice.v1" // websocket: the sub-protocol, with an identifier
)

// String names the cell as flags and reports do.
func (c Cell) String() string {
	name := fmt.Sprintf("%s %s %s %s", c.Entrypoint, c.Endpoint, c.Level, c.Direction)
	if c.Client != Usual {
		name += " " + c.Client
	}
	return name
}

// advanced tells whether the cell is one of the same connectors under another name.
func (c Cell) advanced() bool {
	return strings.HasSuffix(c.Entrypoint, advanced) || strings.HasSuffix(c.Endpoint, advanced)
}

const advanced = "-advanced"

// pushes tells whether the gateway calls the client.
func (c Cell) pushes() bool { return strings.HasPrefix(c.Entrypoint, "webhook") }

// counted tells whether the level counts.
func (c Cell) counted() bool { return c.level() == qos.AtMostOnce || c.level() == qos.AtLeastOnce }

// cursors tells whether messages of the endpoint have ids that say where they lie.
func (c Cell) cursors() bool { return !strings.HasPrefix(c.Endpoint, "mqtt") }

func (c Cell) level() qos.Level {
	l, _ := qos.ParseLevel(c.Level)
	return l
}

// entrypoint is how clients of an entrypoint type behave. A direction that it does not have is nil.
type entrypoint struct {
	subscribe func(Cell) subscriberDriver
	publish   func() publisherDriver
	// others are the kinds of subscribing clients of a cell besides the usual one.
	others func(Cell) []string
	// proves: the client sees its own proofs of receipt, so that checkpoints can be held against them.
	proves bool
	// config is the entrypoint's configuration in a direction.
	config map[Direction]object
}

var (
	events  = entrypoint{subscribe: newSSE, others: anonymous}
	pushing = entrypoint{subscribe: newReceiver, proves: true}
)

// entrypoints are the drivers by entrypoint type. The advanced names are the same entrypoints under another name.
var entrypoints = map[string]entrypoint{
	"sse":          events,
	"sse-advanced": events,
	"http-get": {subscribe: newPager, proves: true,
		config: map[Direction]object{Subscribe: {"messagesLimitCount": 500, "messagesLimitDurationMs": 200}}},
	"http-post": {publish: newPoster},
	"websocket": {subscribe: newSocketReader, publish: newSocketWriter, proves: true, others: subProtocol, config: map[Direction]object{
		Subscribe: {"publisher": object{"enabled": false}}, Publish: {"subscriber": object{"enabled": false}}}},
	"webhook":          pushing,
	"webhook-advanced": pushing,
}

// anonymous: where it counts, a client without a name goes on by the ids that it sees.
func anonymous(c Cell) []string {
	if c.counted() && c.cursors() {
		return []string{Anonymous}
	}
	return nil
}

// subProtocol: it adds cursors and acks, where there are any.
func subProtocol(c Cell) []string {
	if c.counted() || c.level() == qos.Auto && c.cursors() {
		return []string{V1}
	}
	return nil
}

// endpoints are the drivers by endpoint type.
var endpoints = map[string]func(*World) broker{
	"kafka":          func(w *World) broker { return &kafkaBroker{kafka: w.kafka, endpoint: "kafka"} },
	"kafka-advanced": func(w *World) broker { return &kafkaBroker{kafka: w.kafka, endpoint: "kafka-advanced"} },
	"mqtt5":          func(w *World) broker { return &mqttBroker{mosquitto: w.mosquitto, endpoint: "mqtt5"} },
	"mqtt5-advanced": func(w *World) broker { return &mqttBroker{mosquitto: w.mosquitto, endpoint: "mqtt5-advanced"} },
	"mqtt":           func(w *World) broker { return &mqttBroker{mosquitto: w.mosquitto, endpoint: "mqtt"} },
	"mock":           func(*World) broker { return mockBroker{} },
}

// Cells returns every served cell of the matrix in its directions, in the matrix's order. A type that has no driver here is
// an error: what is served is proved, or the run fails.
func Cells() ([]Cell, error) {
	return cellsOf(qos.Supported, entrypoints, endpoints)
}

func cellsOf(served func(entrypoint, endpoint string) []qos.Level, entrypoints map[string]entrypoint,
	endpoints map[string]func(*World) broker) ([]Cell, error) {
	var out []Cell
	missing := map[string]bool{}
	for _, in := range qos.Entrypoints() {
		for _, ep := range qos.Endpoints() {
			for _, l := range served(in, ep) {
				driver, ok := entrypoints[in]
				if !ok {
					missing["entrypoint "+in] = true
				}
				if endpoints[ep] == nil {
					missing["endpoint "+ep] = true
				}
				c := Cell{Entrypoint: in, Endpoint: ep, Level: l.String(), Direction: Subscribe}
				if driver.subscribe != nil {
					out = append(out, c)
				}
				if driver.others != nil {
					for _, c.Client = range driver.others(c) {
						out = append(out, c)
					}
				}
				if driver.publish != nil {
					out = append(out, Cell{Entrypoint: in, Endpoint: ep, Level: l.String(), Direction: Publish})
				}
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("the matrix serves what the grid cannot prove: no driver for %s; add it to test/grid/cell.go",
			strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	}
	if len(out) == 0 {
		return nil, errors.New("the matrix serves nothing")
	}
	return out, nil
}

// object is a JSON object, as definitions are written.
type object = map[string]any
