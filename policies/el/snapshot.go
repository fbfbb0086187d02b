package el

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/qos/exchange"
)

// Request is what was kept of a request for expressions that are evaluated after its handler has returned: for the messages
// of a stream.
type Request struct {
	values  Dict
	headers fields
	params  fields
	body    []byte
	docs    Documents
}

// SnapshotRequest copies what uses reads of the request and the exchange does not keep itself; nil: nothing. It must be called
// before Detach.
func SnapshotRequest(x *exchange.Exchange, uses Uses) *Request {
	if !uses.Has(RootRequest) || x.HTTP == nil {
		return nil
	}
	s := &Exchange{X: x}
	r := &Request{params: fields{cased: true}}
	need := uses.facts
	for _, name := range need.members {
		switch name {
		case "headers":
			r.headers.keep((*requestHeaders)(&x.HTTP.Request.Header), need.headers, need.allHeaders)
		case "params":
			r.params.keep((*liveParams)(x.HTTP.QueryArgs()), need.params, need.allParams)
		case "content", "jsonContent", "xmlContent":
			r.body = append([]byte{}, x.HTTP.Request.Body()...)
		case "ssl":
			r.values.put(name, OfMembers(sslOf(x.HTTP)))
		default:
			if v, ok := s.live(x.HTTP, name); ok {
				kept, err := v.own()
				if err == nil {
					r.values.put(name, kept)
				}
			}
		}
	}
	return r
}

// Member implements Members.
func (r *Request) Member(name string) (Value, bool) {
	switch name {
	case "headers":
		return OfNames(&r.headers), true
	case "params":
		return OfNames(&r.params), true
	case "content", "jsonContent", "xmlContent":
		s := Exchange{docs: r.docs}
		v, ok := s.body(name, func() []byte { return r.body })
		r.docs = s.docs
		v.view = false // the body is ours and stays
		return v, ok
	}
	if v, ok := r.values.Get(name); ok {
		return v, true
	}
	return Value{}, isRequestMember(name)
}

// fields are names with values, as copies.
type fields struct {
	cased bool
	all   []field
}

type field struct{ name, value string }

func (f *fields) same(a, b string) bool { return a == b || !f.cased && strings.EqualFold(a, b) }

// keep copies what is wanted of all that there is.
func (f *fields) keep(of Names, wanted []string, all bool) {
	if all {
		wanted = nil
		of.Each(func(name string) bool { wanted = append(wanted, name); return true })
	}
	for _, name := range wanted {
		for i := range of.Count(name) {
			value, _ := of.At(name, i)
			f.all = append(f.all, field{name, strings.Clone(value)})
		}
	}
}

// At implements Names.
func (f *fields) At(name string, i int) (string, bool) {
	for k := range f.all {
		if f.same(f.all[k].name, name) {
			if i == 0 {
				return f.all[k].value, true
			}
			i--
		}
	}
	return "", false
}

// Count implements Names.
func (f *fields) Count(name string) int {
	n := 0
	for k := range f.all {
		if f.same(f.all[k].name, name) {
			n++
		}
	}
	return n
}

// Each implements Names.
func (f *fields) Each(g func(name string) bool) {
	for k := range f.all {
		earlier := slices.ContainsFunc(f.all[:k], func(o field) bool { return f.same(o.name, f.all[k].name) })
		if !earlier && !g(f.all[k].name) {
			return
		}
	}
}
