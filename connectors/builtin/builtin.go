// Package builtin is the whole list of connectors that the sluice binary has. It is the only package that imports every
// connector; a test links only those it names.
package builtin

import (
	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/connectors/endpoint/kafka"
	"github.com/sluice-gateway/sluice/connectors/endpoint/mock"
	"github.com/sluice-gateway/sluice/connectors/endpoint/mqtt"
	"github.com/sluice-gateway/sluice/connectors/endpoint/mqtt5"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httpget"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/httppost"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/sse"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/webhook"
	"github.com/sluice-gateway/sluice/connectors/entrypoint/websocket"
)

// Entrypoints are the ways in, by the definition's type.
var Entrypoints = connectors.Entrypoints{
	"http-get":         httpget.Type,
	"http-post":        httppost.Type,
	"sse":              sse.Type,
	"sse-advanced":     sse.Advanced,
	"webhook":          webhook.Type,
	"webhook-advanced": webhook.Advanced,
	"websocket":        websocket.Type,
}

// Endpoints are the ways out, by the definition's type.
var Endpoints = connectors.Endpoints{
	"kafka":          kafka.Type,
	"kafka-advanced": kafka.Advanced,
	"mock":           mock.Type,
	"mqtt":           mqtt.Type,
	"mqtt5":          mqtt5.Type,
	"mqtt5-advanced": mqtt5.Type,
}
