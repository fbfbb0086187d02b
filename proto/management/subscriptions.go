package management

import (
	"encoding/json"
	"time"
)

// Mask stands in answers where a secret is. A subscription that is sent back with it keeps the secret that is stored.
const Mask = "********"

// Statuses of a subscription (spec 7.4): where it stands with its publisher, and with its consumer.
const (
	SubscriptionPending  = "PENDING"
	SubscriptionRejected = "REJECTED"
	SubscriptionAccepted = "ACCEPTED"
	SubscriptionClosed   = "CLOSED"
	SubscriptionPaused   = "PAUSED"

	ConsumerStarted = "STARTED"
	ConsumerStopped = "STOPPED"
	ConsumerFailure = "FAILURE"
)

// Subscription is a subscription as it is answered. Secrets are masked.
type Subscription struct {
	ID             string            `json:"id"`
	API            string            `json:"api" doc:"Id of the API"`
	Plan           string            `json:"plan" doc:"Id of the plan"`
	Application    string            `json:"application" doc:"Who subscribes; 1 where nobody is named"`
	Type           string            `json:"type" enum:"STANDARD,PUSH"`
	Status         string            `json:"status" enum:"PENDING,REJECTED,ACCEPTED,CLOSED,PAUSED" doc:"Where it stands with the publisher"`
	ConsumerStatus string            `json:"consumerStatus" enum:"STARTED,STOPPED,FAILURE" doc:"Where it stands with the consumer; FAILURE ends by _changeConsumerStatus?status=STARTED"`
	FailureCause   string            `json:"failureCause,omitempty" doc:"Why delivery was given up"`
	Origin         string            `json:"origin" enum:"MANAGEMENT,KUBERNETES"`
	Request        string            `json:"request,omitempty" doc:"What the consumer says to the publisher"`
	Reason         string            `json:"reason,omitempty" doc:"What the publisher answers"`
	Metadata       map[string]string `json:"metadata,omitempty"`
	// ConsumerConfiguration is the form of 4.x, Configuration that of 3.20: the same as JSON text.
	ConsumerConfiguration *ConsumerConfiguration `json:"consumerConfiguration,omitempty"`
	Configuration         string                 `json:"configuration,omitempty" doc:"consumerConfiguration as 3.20 has it: JSON text, flat"`
	StartingAt            *time.Time             `json:"startingAt,omitempty"`
	EndingAt              *time.Time             `json:"endingAt,omitempty"`
	CreatedAt             time.Time              `json:"createdAt"`
	UpdatedAt             time.Time              `json:"updatedAt"`
	ProcessedAt           *time.Time             `json:"processedAt,omitempty"`
	ClosedAt              *time.Time             `json:"closedAt,omitempty"`
	PausedAt              *time.Time             `json:"pausedAt,omitempty"`
	ConsumerPausedAt      *time.Time             `json:"consumerPausedAt,omitempty"`
	SubscribedBy          string                 `json:"subscribedBy,omitempty"`
	ProcessedBy           string                 `json:"processedBy,omitempty"`
	Replays               []Replay               `json:"replays,omitempty"`
	Workers               []WorkerSubscription   `json:"workers,omitempty" doc:"How it stands on each live worker that should serve it; not in lists"`
}

// ConsumerConfiguration is how and where a push subscription is delivered.
type ConsumerConfiguration struct {
	EntrypointID            string          `json:"entrypointId" doc:"Type of the entrypoint, e.g. webhook"`
	Channel                 string          `json:"channel,omitempty" doc:"Narrows the API's channel; none: all of it"`
	EntrypointConfiguration json.RawMessage `json:"entrypointConfiguration,omitempty" doc:"See the entrypoint's subscription schema"`
}

// NewSubscription is the body that creates a subscription or changes one; what a change leaves out stays as it is.
type NewSubscription struct {
	ID                    string                 `json:"id,omitempty" doc:"Chosen by the client; none: a new one"`
	Plan                  string                 `json:"planId,omitempty" doc:"Id of the plan; also as plan, or ?plan="`
	Application           string                 `json:"applicationId,omitempty" doc:"Who subscribes; also as application, or ?application="`
	Request               string                 `json:"request,omitempty"`
	Metadata              map[string]string      `json:"metadata,omitempty"`
	ConsumerConfiguration *ConsumerConfiguration `json:"consumerConfiguration,omitempty"`
	Configuration         string                 `json:"configuration,omitempty" doc:"consumerConfiguration as 3.20 has it: JSON text, flat"`
	StartingAt            *time.Time             `json:"startingAt,omitempty"`
	EndingAt              *time.Time             `json:"endingAt,omitempty"`
	Origin                string                 `json:"origin,omitempty" enum:"MANAGEMENT,KUBERNETES"`
}

// SubscriptionDecision is the body that accepts or rejects a subscription.
type SubscriptionDecision struct {
	Accepted   *bool      `json:"accepted,omitempty" doc:"Only for _process"`
	Reason     string     `json:"reason,omitempty"`
	StartingAt *time.Time `json:"startingAt,omitempty"`
	EndingAt   *time.Time `json:"endingAt,omitempty"`
}

// States of a replay.
const (
	ReplayRunning  = "RUNNING"
	ReplayFinished = "FINISHED"
	ReplayFailed   = "FAILED"
)

// NewReplay is the body that begins a replay.
type NewReplay struct {
	From  string `json:"from" doc:"Where to begin: a message id, earliest, or @ and a time, e.g. @2026-11-22T10:00:00Z"`
	Until string `json:"until,omitempty" doc:"Where to end: a message id, or @ and a time; none: what is there when it begins"`
}

// Replay is a part of the past that is delivered again, beside the live delivery.
type Replay struct {
	ID        string     `json:"id"`
	From      string     `json:"from"`
	Until     string     `json:"until,omitempty"`
	State     string     `json:"state" enum:"RUNNING,FINISHED,FAILED"`
	Worker    string     `json:"worker,omitempty" doc:"Who runs it; none: no worker was found yet"`
	CreatedAt time.Time  `json:"createdAt"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// WorkerSubscription is how a subscription stands on one worker.
type WorkerSubscription struct {
	Worker string     `json:"worker"`
	State  string     `json:"state" enum:"PENDING,RUNNING,RETRYING,RESTING,FAILED,ENDED,UNKNOWN"`
	Cause  string     `json:"cause,omitempty"`
	Since  *time.Time `json:"since,omitempty" doc:"By the worker's clock"`
	Lag    *uint64    `json:"lag,omitempty" doc:"Messages that wait; none: not known"`
}

// Attempts are the last tries to deliver to a subscriber, the newest first.
type Attempts struct {
	Data   []Attempt `json:"data"`
	Silent []string  `json:"silent,omitempty" doc:"Workers that did not answer in time; what they tried is missing"`
}

// Attempt is one try to deliver a message or a batch.
type Attempt struct {
	Worker   string     `json:"worker"`
	At       time.Time  `json:"at"`
	TookMS   float64    `json:"tookMs" doc:"In milliseconds"`
	Message  string     `json:"message" doc:"Its id, or where it stands"`
	Number   int        `json:"number" doc:"1 is the first try"`
	Status   int        `json:"status,omitempty" doc:"Of the answer; none: there was no answer"`
	Error    string     `json:"error,omitempty"`
	Outcome  string     `json:"outcome" enum:"DELIVERED,RETRIED,DEAD-LETTERED,GIVEN-UP"`
	Next     *time.Time `json:"next,omitempty" doc:"When it is tried again"`
	Messages int        `json:"messages,omitempty" doc:"More than 1: a batch"`
	Bytes    int        `json:"bytes,omitempty" doc:"Of the request's body"`
}
