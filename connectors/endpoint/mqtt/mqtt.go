// Package mqtt is the endpoint for brokers of MQTT 3.1.1. What it does, and how, is told in package mqttclient, which it
// shares with the MQTT 5 endpoint. It starts no goroutine of its own.
//
// It keeps the same levels with the same configuration, as far as the older protocol can: there are no user properties, so
// message headers do not travel; no content type, response topic, correlation data or message expiry; a session lives as
// long as the broker's own setting says; shared subscriptions are an extension, which Mosquitto has; a publish that the
// broker's access rules forbid is acknowledged or ends the connection, as the broker chooses; a session that another
// worker takes over is noticed only after several connections broke.
package mqtt

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

// Type is the catalog entry of the definition's type "mqtt".
var Type = connectors.EndpointType{
	Name:  "MQTT 3.1.1",
	Modes: connectors.Subscribe | connectors.Publish,
	Check: Check,
	New:   New,
}

// Check decodes and validates; it finds every problem at once.
func Check(cfg, shared json.RawMessage) apidef.Problems {
	return mqttclient.Check(cfg, shared, mqttclient.V311)
}

// New validates and allocates. It fails on what Check refuses.
func New(cfg, shared json.RawMessage, env connectors.Env) (connectors.Endpoint, error) {
	return mqttclient.New(cfg, shared, env, mqttclient.V311)
}
