package flow

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/connectors"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/qos"
)

// listeners builds the entrypoints of all listeners, each with the endpoint it goes to.
func (b *builder) listeners() {
	for i := range b.def.Listeners {
		l := &b.def.Listeners[i]
		at := fmt.Sprintf("/listeners/%d", i)
		if l.Type == apidef.ListenerHTTP {
			b.routes(at, l)
			if c := newCORS(l.CORS); c != nil {
				b.api.cors = c
			}
		}
		for j := range l.Entrypoints {
			b.entrypoint(fmt.Sprintf("%s/entrypoints/%d", at, j), l.Type, &l.Entrypoints[j])
		}
	}
	if len(b.api.entrypoints)+len(b.api.push) == 0 && b.problems.Err() == nil {
		b.fail("/listeners", codeEntrypoints, "has no entrypoint")
	}
}

func (b *builder) entrypoint(at string, listener apidef.ListenerType, e *apidef.Entrypoint) {
	typ, ok := b.cfg.Entrypoints[e.Type]
	switch {
	case !ok:
		b.fail(at+"/type", codeEntrypoint, "entrypoint %q is not served by this version; known are %s", e.Type, strings.Join(b.cfg.Entrypoints.Names(), ", "))
		return
	case typ.Listener != listener:
		b.fail(at+"/type", codeEntrypoint, "entrypoint %q belongs to a listener of type %s, not %s", e.Type, typ.Listener, listener)
		return
	}
	level, ok := qos.ParseLevel(e.QoS)
	if !ok {
		b.fail(at+"/qos", codeQoS, "%q is no quality of service", e.QoS)
		return
	}
	counters := b.cfg.Counters.For(b.api.Info.ID, e.Type)
	behind := &backend{api: b.api, counters: counters}
	if !b.connect(at, e.Type, typ.Modes, level, behind) {
		return
	}
	behind.guide = b.engine.guide(e.Type, typ.Modes, counters, b.api.plans)
	env := b.env(level, "entrypoint", e.Type)
	if e.DLQ != nil {
		behind.deadLetters = b.deadLetters(at+"/dlq", e, typ, level)
		env.DeadLetters = behind.deadLetters != nil
	} else {
		b.graves(e.Type, typ)
	}
	if typ.Check != nil {
		ps := typ.Check(e.Configuration)
		b.add(at+"/configuration", ps)
		if ps.Err() != nil {
			return
		}
	}
	c, err := typ.New(e.Configuration, env)
	if err != nil {
		b.failNew(at+"/configuration", err)
		return
	}
	b.offer(at, typ, entrypoint{Entrypoint: c, typ: e.Type, criteria: typ.Criteria, level: level, backend: behind, counters: counters})
}

// offer adds an entrypoint to those that are asked by requests, or to those that serve push subscriptions.
func (b *builder) offer(at string, typ connectors.EntrypointType, e entrypoint) {
	if typ.Listener == apidef.ListenerSubscription {
		d, ok := e.Entrypoint.(connectors.Dispatcher)
		if !ok || typ.CheckSubscription == nil {
			b.fail(at+"/type", codeEntrypoint, "entrypoint %q cannot serve subscriptions, though its catalog entry puts it on a subscription listener", e.typ)
			return
		}
		b.api.push[strings.ToLower(e.typ)] = &pushEntrypoint{entrypoint: e, dispatcher: d}
		return
	}
	e.drainer, _ = e.Entrypoint.(connectors.Drainer)
	e.backend.streams = e.drainer != nil
	b.api.drainers = b.api.drainers || e.drainer != nil
	b.api.entrypoints = append(b.api.entrypoints, e)
}

func (b *builder) failQoS(at, entrypoint, endpoint string, level qos.Level) {
	place := "/qos"
	if len(qos.Supported(entrypoint, endpoint)) == 0 {
		place = "/type" // no level helps
	}
	b.fail(at+place, codeQoS, "%s", qos.Refusal(entrypoint, endpoint, level))
}
