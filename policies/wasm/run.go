package wasm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// What a module's function returns.
const (
	goesOn  = 0
	dropped = 1
	failed  = 2
)

type policy struct {
	log        *slog.Logger
	engine     wazero.Runtime
	module     wazero.CompiledModule
	function   string
	parameters []byte
	limit      time.Duration
	isolated   bool
	idle       chan api.Module // instances that wait for their next run
}

// functions are those of a phase, the first that a module has is called.
var functions = map[policies.Phase][]string{
	policies.Request: {"on_request"}, policies.Response: {"on_response"},
	policies.Publish: {"on_publish", "on_message"}, policies.Subscribe: {"on_subscribe", "on_message"},
}

func newPolicy(code []byte, c *Config, env policies.Env) (_ *policy, err error) {
	ctx := context.Background()
	config := wazero.NewRuntimeConfig().WithCloseOnContextDone(true).WithMemoryLimitPages(uint32(c.MemoryLimit / page))
	p := &policy{log: env.Log, engine: wazero.NewRuntimeWithConfig(ctx, config), parameters: []byte(c.Parameters), limit: c.limit(),
		isolated: c.Isolated, idle: make(chan api.Module, 2*runtime.GOMAXPROCS(0))}
	defer func() {
		if err != nil {
			_ = p.Close()
		}
	}()
	if p.module, err = p.engine.CompileModule(ctx, code); err != nil {
		return nil, fmt.Errorf("is no WebAssembly module: %w", err)
	}
	if err = p.check(env.Phase); err != nil {
		return nil, err
	}
	if err = p.offer(ctx); err != nil {
		return nil, fmt.Errorf("offer the functions of the host: %w", err)
	}
	instance, err := p.instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot be started: %w", err)
	}
	p.keep(ctx, instance)
	return p, nil
}

// check refuses modules that could only fail.
func (p *policy) check(phase policies.Phase) error {
	for _, f := range p.module.ImportedFunctions() {
		from, name, _ := f.Import()
		if from != hostModule {
			return fmt.Errorf("imports %s.%s; only functions of the module %q are offered (no WASI: build for wasm32-unknown-unknown or the like)", from, name, hostModule)
		}
		if _, ok := host[name]; !ok {
			return fmt.Errorf("imports %s.%s, which there is not; see docs/policies-wasm.md", from, name)
		}
	}
	if len(p.module.ExportedMemories()) == 0 {
		return errors.New("exports no memory")
	}
	for _, name := range functions[phase] {
		f, ok := p.module.ExportedFunctions()[name]
		if !ok {
			continue
		}
		if len(f.ParamTypes()) != 0 || !slices.Equal(f.ResultTypes(), []api.ValueType{api.ValueTypeI32}) {
			return fmt.Errorf("%s must take nothing and return an i32", name)
		}
		p.function = name
		return nil
	}
	return fmt.Errorf("exports none of the functions of this phase: %v", functions[phase])
}

// instance makes an instance, within the time of a run.
func (p *policy) instance(ctx context.Context) (api.Module, error) {
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	return p.engine.InstantiateModule(ctx, p.module, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
}

// keep keeps an instance for the next run, where there is room.
func (p *policy) keep(ctx context.Context, m api.Module) {
	if !p.isolated {
		select {
		case p.idle <- m:
			return
		default:
		}
	}
	_ = m.Close(ctx)
}

// Close implements io.Closer.
func (p *policy) Close() error { return p.engine.Close(context.Background()) }

// Traits implements policies.Traited. A module may read attributes of the exchange, and keep what it saw.
func (p *policy) Traits() policies.Traits { return policies.Traits{} }

// errWrong is what a function returned that is none of the three.
var errWrong = errors.New("the module's function returned something else than 0, 1 or 2")

func (p *policy) run(ctx context.Context, c *call) error {
	c.policy = p
	var m api.Module
	var err error
	select {
	case m = <-p.idle:
	default:
		if m, err = p.instance(context.WithoutCancel(ctx)); err != nil {
			return p.failure(err)
		}
	}
	// A run ends by its own limit: one that is cut off by its client would cost the instance.
	limited, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), callKey{}, c), p.limit)
	defer cancel()
	out, err := m.ExportedFunction(p.function).Call(limited)
	if err != nil {
		_ = m.Close(context.WithoutCancel(ctx)) // what it left behind is not to be seen
		return p.failure(err)
	}
	p.keep(context.WithoutCancel(ctx), m)
	if c.err != nil {
		return p.failure(c.err)
	}
	switch int32(out[0]) {
	case goesOn:
		return nil
	case dropped:
		if c.message == nil {
			return policies.ErrInterrupt
		}
		return policies.ErrDrop
	case failed:
		return c.failure()
	}
	return p.failure(errWrong)
}

func (p *policy) failure(err error) error {
	text := fasthttp.StatusMessage(fasthttp.StatusInternalServerError)
	var exit *sys.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == sys.ExitCodeDeadlineExceeded {
		text, err = "Timeout", fmt.Errorf("the module took longer than %v", p.limit)
	}
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: "WASM_EXECUTION_FAILURE", Message: text, Err: err}
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(ctx context.Context, c *policies.Context) error {
	return p.run(ctx, &call{context: c})
}

// OnResponse implements policies.ResponsePolicy.
func (p *policy) OnResponse(ctx context.Context, c *policies.Context) error {
	return p.run(ctx, &call{context: c, response: true})
}

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(ctx context.Context, c *policies.Context, m *message.Message) error {
	return p.run(ctx, &call{context: c, message: m})
}

var (
	_ policies.RequestPolicy  = (*policy)(nil)
	_ policies.ResponsePolicy = (*policy)(nil)
	_ policies.MessagePolicy  = (*policy)(nil)
	_ policies.Traited        = (*policy)(nil)
)
