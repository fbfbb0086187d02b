package script

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds are those of a step's runs, as definitions give them.
type Bounds struct {
	// Timeout bounds a run, in milliseconds: 10 to 1000. Default 100.
	Timeout int `json:"timeout"`
	// MemoryLimit bounds what a run makes, in bytes: 1048576 to 268435456. Default 67108864.
	MemoryLimit int `json:"memoryLimit"`
}

// DefaultBounds are those of a step that gives none.
func DefaultBounds() Bounds { return Bounds{Timeout: 100, MemoryLimit: 64 << 20} }

// Check finds what is out of bounds.
func (b Bounds) Check() (problems apidef.Problems) {
	const shortest, least, most = 10, 1 << 20, 256 << 20
	if longest := int(MaxTime / time.Millisecond); b.Timeout < shortest || b.Timeout > longest {
		problems = append(problems, settings.Invalid("/timeout", fmt.Sprintf("must be between %d and %d milliseconds", shortest, longest)))
	}
	if b.MemoryLimit < least || b.MemoryLimit > most {
		problems = append(problems, settings.Invalid("/memoryLimit", fmt.Sprintf("must be between %d and %d bytes", least, most)))
	}
	return problems
}

// Options are those of programs with these bounds. What scripts print goes to the log, which shows it at level debug.
func (b Bounds) Options(style Style, log *slog.Logger) Options {
	return Options{Style: style, Time: time.Duration(b.Timeout) * time.Millisecond, Memory: b.MemoryLimit,
		Console: func(level, text string) { log.Debug("script", "console", level, "text", text) }}
}

// Step is a policy that runs scripts.
type Step struct {
	Programs []*Program // in order
	Content  bool       // they may read the content
	Override bool       // what the last of them completes with becomes the content
	// Key, Text and Timeout are what clients are told where a script fails, or takes too long.
	Key, Text, Timeout string
}

// Traits implements policies.Traited.
func (s *Step) Traits() policies.Traits {
	t := policies.Traits{Shared: true}
	for _, p := range s.Programs {
		t.Shared = t.Shared && p.Shared()
	}
	return t
}

// run runs the scripts; replace gets what they make of the content.
func (s *Step) run(subject *Subject, replace func([]byte)) error {
	subject.Content = s.Content && subject.Content
	last := Outcome{}
	for _, p := range s.Programs {
		out, err := p.Run(subject)
		if err != nil {
			text := s.Text
			if errors.Is(err, ErrTimeout) {
				text = s.Timeout
			}
			return &message.Failure{Status: fasthttp.StatusInternalServerError, Key: s.Key, Message: text, Err: err}
		}
		if out.Failed {
			const lowest, highest = 400, 599
			if out.Code < lowest || out.Code > highest {
				out.Code = defaultCode
			}
			return &message.Failure{Status: out.Code, Key: out.Key, Message: out.Error}
		}
		if out.OK {
			last = out
		}
	}
	if s.Override && subject.Content && last.OK {
		replace([]byte(last.Value))
		subject.Context.Changed()
	}
	return nil
}

// OnRequest implements policies.RequestPolicy.
func (s *Step) OnRequest(_ context.Context, c *policies.Context) error {
	return s.run(&Subject{Context: c, Content: true}, func(b []byte) { c.Exchange.HTTP.Request.SetBody(b) })
}

// OnResponse implements policies.ResponsePolicy. A stream has no content here: its messages are what follows.
func (s *Step) OnResponse(_ context.Context, c *policies.Context) error {
	return s.run(&Subject{Context: c, Response: true, Content: !c.Streaming}, func(b []byte) { c.Exchange.HTTP.Response.SetBody(b) })
}

// OnMessage implements policies.MessagePolicy.
func (s *Step) OnMessage(_ context.Context, c *policies.Context, m *message.Message) error {
	return s.run(&Subject{Context: c, Message: m, Content: true}, func(b []byte) { m.Content = b })
}

// Add compiles a script that was found at a pointer; blank ones are left out.
func (s *Step) Add(pointer, source string, o Options) apidef.Problems {
	if strings.TrimSpace(source) == "" {
		return nil
	}
	p, err := Compile(source, o)
	if err != nil {
		return apidef.Problems{settings.Invalid(pointer, err.Error())}
	}
	s.Programs = append(s.Programs, p)
	return nil
}

var (
	_ policies.RequestPolicy  = (*Step)(nil)
	_ policies.ResponsePolicy = (*Step)(nil)
	_ policies.MessagePolicy  = (*Step)(nil)
	_ policies.Traited        = (*Step)(nil)
)
