package flow

import (
	"context"
	"sync"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// program is what runs for exchanges that select the same flows: the steps of all of them, by phase, in order (spec 5.1, 5.5).
type program struct {
	request, response  []*step
	publish, subscribe *line
	uses               policies.Uses // of the message phases, in which the request is gone
}

// empty tells whether nothing would run.
func (p *program) empty() bool {
	return len(p.request)+len(p.response)+len(p.publish.steps)+len(p.subscribe.steps) == 0
}

// newProgram strings the steps of flows together.
func newProgram(flows []*unit) *program {
	p := &program{publish: &line{}, subscribe: &line{}}
	for _, f := range flows {
		p.request = append(p.request, f.request...)
		p.response = append(p.response, f.response...)
		p.publish.steps = append(p.publish.steps, f.publish...)
		p.subscribe.steps = append(p.subscribe.steps, f.subscribe...)
	}
	for _, l := range []*line{p.publish, p.subscribe} {
		l.settle()
		for _, s := range l.steps {
			p.uses.Merge(s.uses())
		}
	}
	return p
}

// line is the steps of a message phase, before their conditions are known.
type line struct {
	steps []*step
	whole *chain // of all steps; nil: it depends on conditions, or on the connection

	mu     sync.Mutex
	chains map[string]*chain // guarded by mu; by which steps are in it
}

// maxChains bounds the chains of one line that are kept. There could be one for each combination of conditions; those beyond
// are made per connection, and share nothing.
const maxChains = 64

func (l *line) settle() {
	for _, s := range l.steps {
		if s.condition != nil || s.connector != nil || s.group != nil && s.group.condition != nil {
			return
		}
	}
	l.whole = newChain(l.steps)
}

// chain returns what runs for the messages of a connection; nil: nothing. Conditions of steps are evaluated here, once per
// phase (spec 5.5).
func (l *line) chain(c *policies.Context) *chain {
	if l.whole != nil {
		return l.whole.orNil()
	}
	var active []*step
	key := make([]byte, 0, len(l.steps))
	own := false
	var in, out *step // see run.request
	for i, s := range l.steps {
		if (s.group == nil || s.group.entered(&in, &out, s.group.condition, c)) && s.meets(s.condition, c) {
			active = append(active, s)
			key = append(key, byte(i), byte(i>>8))
			own = own || s.connector != nil
		}
	}
	if own {
		own := newChain(active)
		own.connect(c)
		return own
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	made := l.chains[string(key)]
	if made == nil {
		made = newChain(active)
		if l.chains == nil {
			l.chains = map[string]*chain{}
		}
		if len(l.chains) < maxChains {
			l.chains[string(key)] = made
		}
	}
	return made.orNil()
}

// chain is the steps that run for each message of a connection. Its address is the key of the runs that subscribers share.
type chain struct {
	links  []link
	traits policies.Traits // of all together
}

type link struct {
	*step
	policy policies.MessagePolicy
}

func newChain(steps []*step) *chain {
	c := &chain{traits: policies.Traits{Shared: true, Filter: true}}
	for _, s := range steps {
		c.links = append(c.links, link{s, s.messages})
		t := s.traits
		c.traits.Shared = c.traits.Shared && t.Shared && s.connector == nil && (s.messageCondition == nil || s.messageCondition.Shared())
		if s.group != nil && s.group.messageCondition != nil {
			c.traits.Shared = c.traits.Shared && s.group.messageCondition.Shared()
		}
		c.traits.Filter = c.traits.Filter && t.Filter
		c.traits.Blocks = c.traits.Blocks || t.Blocks || s.buries // a dead letter is waited for
	}
	return c
}

// orNil returns nil where nothing runs.
func (c *chain) orNil() *chain {
	if len(c.links) == 0 {
		return nil
	}
	return c
}

// connect settles what a connection changes: the chain must be its own.
func (c *chain) connect(pc *policies.Context) {
	for i := range c.links {
		if s := c.links[i].step; s.connector != nil {
			c.links[i].policy = s.connector.Connect(pc)
		}
	}
}

// run makes of m what the chain makes of it, or tells in an error why it goes no further.
func (c *chain) run(ctx context.Context, pc *policies.Context, m *message.Message) error {
	pc.SetMessage(m)
	var in, out *step // see run.request
	for i := range c.links {
		l := &c.links[i]
		if l.group != nil && l.group.messageCondition != nil && !l.group.entered(&in, &out, l.group.messageCondition, pc) {
			continue
		}
		if err := l.onMessage(ctx, pc, l.policy, m); err != nil {
			return err
		}
	}
	return nil
}

// fate is what an error of run means to a subscriber; failed: it is one that ends the stream.
func fate(err error) (f message.Fate, failed error) {
	switch err {
	case nil:
		return message.Kept, nil
	case policies.ErrDrop:
		return message.Dropped, nil
	case policies.ErrHold:
		return message.Held, nil
	}
	return message.Held, err
}
