package bundle

import (
	"encoding/json"
	"fmt"
	"time"
)

// Subscription is what a worker is sent for one push subscription (spec 7.4, 7.5): a piece of its own beside the API's
// bundle, so that a change of one redeploys nothing.
type Subscription struct {
	ID          string            `json:"id"`
	API         string            `json:"api"`
	Plan        string            `json:"plan"`
	Application string            `json:"application"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	// EntrypointID is the type of the entrypoint that serves it, such as webhook.
	EntrypointID string `json:"entrypointId"`
	// Channel narrows the API's channel; empty: all of it.
	Channel string `json:"channel,omitempty"`
	// Configuration is the entrypointConfiguration, checked by the control plane.
	Configuration json.RawMessage `json:"configuration,omitempty"`
	// Dispatch tells that it is to be served: accepted, started, not paused.
	Dispatch   bool      `json:"dispatch"`
	StartingAt time.Time `json:"startingAt,omitzero"`
	EndingAt   time.Time `json:"endingAt,omitzero"`
	// Replays run beside the live delivery.
	Replays []Replay `json:"replays,omitempty"`
}

// Replay is a part of the past that is delivered again.
type Replay struct {
	ID    string `json:"id"`
	From  string `json:"from"`            // a cursor
	Until string `json:"until,omitempty"` // a cursor; empty: what was there when the replay began
	// Worker is the one that runs it, since every one that did would deliver all of it; another leaves it alone.
	Worker string `json:"worker,omitempty"`
}

type encodedSubscription struct {
	V int `json:"v"`
	Subscription
}

// EncodeSubscription writes a subscription; equal arguments give equal bytes.
func EncodeSubscription(s *Subscription) ([]byte, error) {
	out, err := json.Marshal(encodedSubscription{version, *s})
	if err != nil {
		return nil, fmt.Errorf("encode subscription: %w", err)
	}
	return out, nil
}

// DecodeSubscription reads what EncodeSubscription wrote.
func DecodeSubscription(data []byte) (*Subscription, error) {
	var e encodedSubscription
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("decode subscription: %w", err)
	}
	switch {
	case e.V > version:
		return nil, fmt.Errorf("decode subscription: %w", ErrVersion)
	case e.ID == "" || e.API == "":
		return nil, fmt.Errorf("decode subscription: %w", ErrEmpty)
	}
	return &e.Subscription, nil
}
