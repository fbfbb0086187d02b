// Package mqtt5 is the MQTT 5 endpoint. What it does, and how, is told in package mqttclient, which it shares with the
// endpoint for MQTT 3.1.1. It starts no goroutine of its own.
package mqtt5

import (
	"encoding/json"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/mqttclient"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// Config and Shared are the settings, in the configuration and in the shared one.
type (
	Config = mqttclient.Config
	Shared = mqttclient.Shared
)

// Type is the catalog entry of the definition's types "mqtt5" and "mqtt5-advanced".
var Type = connectors.EndpointType{
	Name:  "MQTT 5",
	Modes: connectors.Subscribe | connectors.Publish,
	Check: Check,
	New:   New,
}

// Check decodes and validates; it finds every problem at once.
func Check(cfg, shared json.RawMessage) apidef.Problems {
	return mqttclient.Check(cfg, shared, mqttclient.V5)
}

// New validates and allocates. It fails on what Check refuses.
func New(cfg, shared json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
	return mqttclient.New(cfg, shared, env, mqttclient.V5)
}
