// Package fsm is the control plane's state machine: what the management API changes and workers are told, as a
// pure function of the raft log. Apply never reads a clock, does no I/O and starts no goroutine; it answers a bad
// entry with an error result, the same on every node, and counts it.
//
// Apply, Snapshot and Restore belong to one goroutine, raft's. State may be called from anywhere: it is an immutable
// view behind an atomic pointer, so that reads take no lock and a snapshot holds nothing up.
package fsm

import (
	"fmt"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/proto/command"
)

// FSM holds the latest state.
type FSM struct {
	state  atomic.Pointer[State]
	recent requests // owned by the goroutine that applies
}

// New returns a state machine with nothing in it.
func New() *FSM {
	f := &FSM{recent: newRequests()}
	f.state.Store(empty())
	return f
}

// State is the state after the last command applied.
func (f *FSM) State() *State { return f.state.Load() }

// Apply applies one log entry. A refusal is a result with an error; the state then holds what it held.
func (f *FSM) Apply(index uint64, data []byte) *command.Result {
	prev := f.state.Load()
	cmd, err := command.Unmarshal(data)
	if err != nil {
		next := prev.successor(index, prev.atMS)
		next.rejected++
		f.publish(prev, next)
		return &command.Result{Index: index, Error: unreadable(err)}
	}
	next := prev.successor(index, max(prev.atMS, cmd.GetAtMs()))
	if first := f.recent.find(cmd.GetRequestId()); first != nil {
		f.publish(prev, next)
		return first
	}
	ch := &change{state: next, cmd: cmd}
	result, refusal := ch.apply()
	if refusal != nil {
		next = prev.successor(index, next.atMS) // whatever was half done is dropped
		if refusal.GetCode() == command.Code_CODE_MALFORMED {
			next.rejected++
		}
		result = &command.Result{Error: refusal}
	}
	result.Index = index
	f.recent.remember(cmd.GetRequestId(), next.atMS, result)
	f.publish(prev, next)
	return result
}

func (f *FSM) publish(prev, next *State) {
	f.state.Store(next)
	close(prev.next)
}

// successor is a copy of s at the next entry.
func (s *State) successor(index uint64, atMS int64) *State {
	n := *s
	n.index, n.atMS, n.next = index, atMS, make(chan struct{})
	return &n
}

// change is one command being applied to state, a copy that nobody else sees yet.
type change struct {
	state *State
	cmd   *command.Command
}

func (c *change) apply() (*command.Result, *command.Error) {
	switch ch := c.cmd.GetChange().(type) {
	case *command.Command_PutApi:
		return c.putAPI(ch.PutApi)
	case *command.Command_DeleteApi:
		return c.deleteAPI(ch.DeleteApi)
	case *command.Command_PutPlan:
		return c.putPlan(ch.PutPlan)
	case *command.Command_MovePlan:
		return c.movePlan(ch.MovePlan)
	case *command.Command_DeletePlan:
		return c.deletePlan(ch.DeletePlan)
	case *command.Command_Deploy:
		return c.deploy(ch.Deploy)
	case *command.Command_SetState:
		return c.setState(ch.SetState)
	case *command.Command_PutSubscription:
		return c.putSubscription(ch.PutSubscription)
	case *command.Command_MoveSubscription:
		return c.moveSubscription(ch.MoveSubscription)
	case *command.Command_FailSubscription:
		return c.failSubscription(ch.FailSubscription)
	case *command.Command_AddReplay:
		return c.addReplay(ch.AddReplay)
	case *command.Command_EndReplay:
		return c.endReplay(ch.EndReplay)
	case *command.Command_AssignReplay:
		return c.assignReplay(ch.AssignReplay)
	case *command.Command_PutGroup:
		return c.putGroup(ch.PutGroup)
	case *command.Command_DeployGroup:
		return c.deployGroup(ch.DeployGroup)
	case *command.Command_UndeployGroup:
		return c.undeployGroup(ch.UndeployGroup)
	case *command.Command_DeleteGroup:
		return c.deleteGroup(ch.DeleteGroup)
	default:
		return nil, refuse(command.Code_CODE_MALFORMED, nil, "the command names no change this version knows")
	}
}

// load returns a copy of the record to change, if its version is the expected one.
func (c *change) load(id string, expect uint64) (*API, *command.Error) {
	old := c.state.API(id)
	if old == nil {
		return nil, refuse(command.Code_CODE_API_NOT_FOUND, []string{"api", id}, "Api [%s] cannot be found.", id)
	}
	if expect != 0 && expect != old.Version {
		return nil, refuse(command.Code_CODE_VERSION_MISMATCH, []string{"expected", fmt.Sprint(expect), "actual", fmt.Sprint(old.Version)},
			"API [%s] was changed meanwhile: version %d was expected, it has %d; read it again", id, expect, old.Version)
	}
	a := *old
	return &a, nil
}

// save stores a changed record.
func (c *change) save(a *API) *command.Result {
	a.Version, a.UpdatedAtMS = c.state.index, c.state.atMS
	c.state.apis = c.state.apis.Set(a.ID, a)
	return &command.Result{Version: a.Version}
}

// refuse builds an error result; params are name, value pairs.
func refuse(code command.Code, params []string, format string, args ...any) *command.Error {
	e := &command.Error{Code: code, Message: fmt.Sprintf(format, args...)}
	for i := 0; i+1 < len(params); i += 2 {
		e.Parameters = append(e.Parameters, &command.Parameter{Name: params[i], Value: params[i+1]})
	}
	return e
}
