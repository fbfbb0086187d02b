package bench

import (
	"encoding/json"
	"strings"
)

// api is one API: one entrypoint on one path, one endpoint.
type api struct {
	path, entrypoint, level string
	settings                object // of the entrypoint
	endpoint                string
	broker                  object // the endpoint's configuration
	flows                   []object
}

type object = map[string]any

func (a api) definition() []byte {
	entry := object{"type": a.entrypoint, "qos": a.level}
	if a.settings != nil {
		entry["configuration"] = a.settings
	}
	def := object{
		"name": "bench " + strings.Trim(a.path, "/"), "apiVersion": "1", "definitionVersion": "4.0.0", "type": "message",
		"listeners":      []object{{"type": "http", "paths": []object{{"path": a.path}}, "entrypoints": []object{entry}}},
		"endpointGroups": []object{{"name": "g", "type": a.endpoint, "endpoints": []object{{"name": "e", "type": a.endpoint, "configuration": a.broker}}}},
		"plans":          []object{{"name": "open", "status": "published", "security": object{"type": "key-less"}}},
	}
	if a.flows != nil {
		def["flows"] = a.flows
	}
	b, err := json.Marshal(def)
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return b
}

// onKafka is the configuration of a Kafka endpoint.
func (r *runner) onKafka(topic string) object {
	return object{"bootstrapServers": strings.Join(r.o.Kafka, ","), "topics": []string{topic},
		"consumer": object{"enabled": true}, "producer": object{"enabled": true}}
}

// onMock is the configuration of a mock endpoint that gives n messages as fast as they are taken.
func (r *runner) onMock(n int64) object {
	return object{"messageInterval": 0, "messageContent": strings.Repeat("x", r.o.Size), "messageCount": n}
}
