package script

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dop251/goja"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// What ends a run.
var (
	ErrTimeout = errors.New("the script took longer than it may")
	ErrMemory  = errors.New("the script made more than it may")
	ErrDepth   = errors.New("the script's calls within calls are too many")
)

// Subject is what a run works on.
type Subject struct {
	Context  *policies.Context
	Message  *message.Message // nil: an exchange
	Response bool             // the answer is there
	Content  bool             // the content may be read and set
}

// Outcome is what a run came to.
type Outcome struct {
	// Failed: the script asked for a failure, and said these of it.
	Failed                         bool
	Code                           int
	Error, Key, ContentType, State string
	// Value is what the script completed with, as text; ok false: nothing, or null.
	Value string
	OK    bool
}

// runtime is one goja runtime with everything that its runs need. One goroutine at a time uses it.
type runtime struct {
	*goja.Runtime
	program *Program
	main    goja.Callable
	args    []goja.Value
	subject *Subject
	outcome Outcome
	changed bool // the content
	left    int  // bytes that the run may still make
	timer   *time.Timer
	objects map[string]*goja.Object // that are made once

	mu sync.Mutex
	// guards the following
	deadline time.Time // zero: nothing runs
}

// defaultCode is the status of a failure for which the script names none.
const defaultCode = 500

func (p *Program) runtime() (*runtime, error) {
	r := &runtime{Runtime: goja.New(), program: p, objects: map[string]*goja.Object{}}
	r.SetMaxCallStackSize(maxDepth)
	r.timer = time.AfterFunc(time.Hour, r.expire)
	r.timer.Stop()
	r.left = p.options.Memory
	if err := r.confine(); err != nil {
		return nil, fmt.Errorf("set up the runtime: %w", err)
	}
	outer, err := r.RunProgram(p.compiled)
	if err != nil {
		return nil, err
	}
	wrap, _ := goja.AssertFunction(outer)
	inner, err := wrap(goja.Undefined(), r.ToValue(r.check), r.ToValue(r.entry))
	if err != nil {
		return nil, err
	}
	r.main, _ = goja.AssertFunction(inner)
	r.args = r.surface()
	return r, nil
}

// expire interrupts a run whose time is over. The timer may fire late, when the next run is under way: that one has another
// deadline.
func (r *runtime) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.deadline.IsZero() && !time.Now().Before(r.deadline) {
		r.Interrupt(ErrTimeout)
	}
}

// Run runs the script. The error is one of the script, or what ended it; a failure that it asked for is none.
func (p *Program) Run(s *Subject) (Outcome, error) {
	r, _ := p.runtimes.Get().(*runtime)
	if r == nil {
		var err error
		if r, err = p.runtime(); err != nil {
			return Outcome{}, err
		}
	}
	out, err := r.run(s)
	if r.forget() {
		p.runtimes.Put(r)
	}
	return out, err
}

func (r *runtime) run(s *Subject) (Outcome, error) {
	r.subject, r.left, r.outcome, r.changed = s, r.program.options.Memory, Outcome{Code: defaultCode, State: success}, false
	defer func() { r.subject = nil }()
	r.ClearInterrupt()
	r.mu.Lock()
	r.deadline = time.Now().Add(r.program.options.Time)
	r.mu.Unlock()
	r.timer.Reset(r.program.options.Time)
	value, err := r.main(goja.Undefined(), r.args...)
	if err == nil && value != nil && !goja.IsUndefined(value) && !goja.IsNull(value) {
		err = r.text(value)
	}
	r.timer.Stop()
	r.mu.Lock()
	r.deadline = time.Time{}
	r.mu.Unlock()
	return r.outcome, r.reason(err)
}

// text keeps the value that the script completed with. It may run code of the script: an object's toString.
func (r *runtime) text(value goja.Value) error {
	return r.guarded(func() { r.outcome.Value, r.outcome.OK = value.String(), true })
}

// guarded turns what a script throws within f into an error.
func (r *runtime) guarded(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *goja.InterruptedError:
			err = p
		case error:
			err = p
		default:
			panic(p)
		}
	}()
	if thrown := r.Try(f); thrown != nil {
		return thrown
	}
	return nil
}

// reason says why a run ended.
func (r *runtime) reason(err error) error {
	var interrupted *goja.InterruptedError
	var deep *goja.StackOverflowError
	switch {
	case err == nil:
		return nil
	case r.left < 0:
		return ErrMemory
	case errors.As(err, &deep):
		return ErrDepth
	case errors.As(err, &interrupted):
		if why, ok := interrupted.Value().(error); ok {
			return why
		}
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("the script failed: %s", text)
}

// forget removes the globals that a run made without declaring them; false: the runtime cannot be used again.
func (r *runtime) forget() bool {
	global := r.GlobalObject()
	for _, name := range global.Keys() {
		if global.Delete(name) != nil {
			return false
		}
	}
	return true
}
