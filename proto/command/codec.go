package command

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// Format is the log and snapshot format that this version writes; it reads every format up to it. Format 2 has
// subscriptions, format 3 shared policy groups.
const Format = 3

// MaxBytes bounds one encoded command. The management API takes bodies up to 4 MiB (proto/management); a command
// holds one definition and its plans, and protobuf adds little to either.
const MaxBytes = 12 << 20

// Errors of Unmarshal.
var (
	// ErrTooLarge is returned for a command over MaxBytes.
	ErrTooLarge = errors.New("command is larger than 12 MiB")
	// ErrFormat is returned for a command that a later version wrote.
	ErrFormat = errors.New("command was written by a later version")
)

// Marshal encodes c, stamping the format: the earliest that has the change, so that nodes of an earlier version go on
// taking what they know while a cluster is upgraded.
func Marshal(c *Command) ([]byte, error) {
	c.Format = 1
	switch {
	case c.GroupID() != "", len(c.GetDeploy().GetSlots())+len(c.GetSetState().GetSlots()) > 0:
		c.Format = 3
	case c.SubscriptionID() != "":
		c.Format = 2
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(b) > MaxBytes {
		return nil, ErrTooLarge
	}
	return b, nil
}

// Unmarshal decodes a command; it accepts anything and refuses garbage with an error.
func Unmarshal(data []byte) (*Command, error) {
	if len(data) > MaxBytes {
		return nil, ErrTooLarge
	}
	c := &Command{}
	if err := proto.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("decode command: %w", err)
	}
	if c.GetFormat() == 0 || c.GetFormat() > Format {
		return nil, ErrFormat
	}
	return c, nil
}

// APIID is the API that the change is about.
func (c *Command) APIID() string {
	switch ch := c.GetChange().(type) {
	case *Command_PutApi:
		return ch.PutApi.GetApiId()
	case *Command_DeleteApi:
		return ch.DeleteApi.GetApiId()
	case *Command_PutPlan:
		return ch.PutPlan.GetApiId()
	case *Command_MovePlan:
		return ch.MovePlan.GetApiId()
	case *Command_DeletePlan:
		return ch.DeletePlan.GetApiId()
	case *Command_Deploy:
		return ch.Deploy.GetApiId()
	case *Command_SetState:
		return ch.SetState.GetApiId()
	}
	return ""
}

// SubscriptionID is the subscription that the change is about; none for a change of something else.
func (c *Command) SubscriptionID() string {
	switch ch := c.GetChange().(type) {
	case *Command_PutSubscription:
		return ch.PutSubscription.GetSubscriptionId()
	case *Command_MoveSubscription:
		return ch.MoveSubscription.GetSubscriptionId()
	case *Command_FailSubscription:
		return ch.FailSubscription.GetSubscriptionId()
	case *Command_AddReplay:
		return ch.AddReplay.GetSubscriptionId()
	case *Command_EndReplay:
		return ch.EndReplay.GetSubscriptionId()
	case *Command_AssignReplay:
		return ch.AssignReplay.GetSubscriptionId()
	}
	return ""
}

// GroupID is the shared policy group that the change is about; none for a change of something else.
func (c *Command) GroupID() string {
	switch ch := c.GetChange().(type) {
	case *Command_PutGroup:
		return ch.PutGroup.GetGroupId()
	case *Command_DeployGroup:
		return ch.DeployGroup.GetGroupId()
	case *Command_UndeployGroup:
		return ch.UndeployGroup.GetGroupId()
	case *Command_DeleteGroup:
		return ch.DeleteGroup.GetGroupId()
	}
	return ""
}
