// Package samples holds the APIs that `sluice dev` deploys, so that a newcomer has something to call: the first is the
// user guide's own example, the second shows the other direction on the same topic.
package samples

import _ "embed"

// Sample is one definition.
type Sample struct {
	Name       string // as the banner shows it
	Definition []byte
}

var (
	//go:embed data-ingestion.json
	dataIngestion []byte
	//go:embed orders-stream.json
	ordersStream []byte
)

// All are the samples in the order in which they are deployed.
var All = []Sample{{"data-ingestion", dataIngestion}, {"orders-stream", ordersStream}}
