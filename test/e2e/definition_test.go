//go:build e2e

package e2e

import (
	"encoding/json"
	"testing"
)

// object is a JSON object, as a definition is written.
type object = map[string]any

// apiOf builds a definition with a published keyless plan: one path, the entrypoints, one Kafka endpoint in the 4.x
// layout.
func apiOf(t *testing.T, name, path, bootstrap, topic string, entrypoints ...object) []byte {
	t.Helper()
	return encode(t, object{
		"name": name, "apiVersion": "1.0", "definitionVersion": "V4", "type": "MESSAGE",
		"listeners": []object{{"type": "HTTP", "paths": []object{{"path": path}}, "entrypoints": entrypoints}},
		"endpointGroups": []object{{
			"name": "kafka", "type": "kafka",
			"sharedConfiguration": object{
				"consumer": object{"enabled": true, "topics": []string{topic}, "autoOffsetReset": "latest"},
				"producer": object{"enabled": true, "topics": []string{topic}},
			},
			"endpoints": []object{{
				"name": "kafka-1", "type": "kafka", "inheritConfiguration": true,
				"configuration": object{"bootstrapServers": bootstrap},
			}},
		}},
		"plans": []object{keyless},
	})
}

var keyless = object{"name": "open", "status": "PUBLISHED", "mode": "STANDARD", "security": object{"type": "KEY_LESS"}}

func entrypoint(kind, qos string, configuration object) object {
	return object{"type": kind, "qos": qos, "configuration": configuration}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
