package el

import (
	"slices"
	"strings"
)

// uses is what the parser itself notes.
type uses struct {
	volatile bool
	unknown  []string
}

// Uses says what a text reads, so that work is shared where it may be and done only where it is asked for. The zero value
// reads nothing; Merge joins those of a chain.
type Uses struct {
	roots    uint32
	volatile bool
	message  bool // content of the message
	request  bool // content of the request
	response bool // content of the response
	// Unknown are variables that are neither the gateway's nor in Options.Variables: most often misspelt.
	Unknown []string
	facts   requestNeeds
}

// requestNeeds is what of a request must outlive its handler.
type requestNeeds struct {
	members    []string
	headers    []string // in lower case; empty and allHeaders false: none
	params     []string
	allHeaders bool
	allParams  bool
}

// Uses returns what t reads.
func (t *Template) Uses() Uses { return t.uses }

// Has tells whether the variable is read.
func (u *Uses) Has(r Root) bool { return u.roots&(1<<r) != 0 }

// Roots are the variables that are read.
func (u *Uses) Roots() []Root {
	var out []Root
	for r := RootOther; r < roots_; r++ {
		if u.Has(r) {
			out = append(out, r)
		}
	}
	return out
}

// shared are the variables that are the same for all subscribers of an API.
const shared = 1<<RootMessage | 1<<RootAPI | 1<<RootProperties | 1<<RootDictionaries | 1<<RootEndpoints | 1<<RootNode | 1<<RootSecrets

// PerExchange tells whether the value may differ between two exchanges, or two times, for the same message. Where it does not,
// it may be evaluated once for all subscribers.
func (u *Uses) PerExchange() bool { return u.volatile || u.roots&^shared != 0 }

// PerMessage tells whether the value may differ between two messages of the same exchange, or two times.
func (u *Uses) PerMessage() bool { return u.volatile || u.Has(RootMessage) || u.Has(RootOther) }

// Volatile tells whether the value may differ each time: the time, a random number.
func (u *Uses) Volatile() bool { return u.volatile }

// ReadsContent tells whether the message's content is read.
func (u *Uses) ReadsContent() bool { return u.message }

// ReadsRequestContent tells whether the request's body is read, which then must be there as a whole.
func (u *Uses) ReadsRequestContent() bool { return u.request }

// ReadsResponseContent tells whether the response's body is read.
func (u *Uses) ReadsResponseContent() bool { return u.response }

// Merge adds what other reads.
func (u *Uses) Merge(other Uses) {
	u.roots |= other.roots
	u.volatile = u.volatile || other.volatile
	u.message, u.request, u.response = u.message || other.message, u.request || other.request, u.response || other.response
	for _, n := range other.Unknown {
		u.Unknown = addOnce(u.Unknown, n)
	}
	f, o := &u.facts, other.facts
	f.allHeaders, f.allParams = f.allHeaders || o.allHeaders, f.allParams || o.allParams
	f.members, f.headers, f.params = union(f.members, o.members), union(f.headers, o.headers), union(f.params, o.params)
}

func union(a, b []string) []string {
	for _, s := range b {
		a = addOnce(a, s)
	}
	return a
}

// addOnce copies rather than append in place: uses are values, and copies of them must stay apart.
func addOnce(to []string, s string) []string {
	if slices.Contains(to, s) {
		return to
	}
	return append(slices.Clip(to), s)
}

// analyse finds what t reads, and refuses what can be seen to be wrong only now that the tree is whole.
func (t *Template) analyse(p *parser) *Error {
	t.uses = Uses{volatile: p.uses.volatile, Unknown: p.uses.unknown}
	var bad *Error
	var visit func(n node)
	visit = func(n node) {
		if m, ok := n.(*member); ok && m.outside && bad == nil {
			bad = p.fail(m.at, CodeSyntax, "the name "+m.name+" stands alone", "a variable is written #"+m.name+", a text '"+m.name+"'")
		}
		if !t.uses.path(n, visit) {
			n.each(visit)
		}
	}
	for _, part := range t.parts {
		if part.node != nil {
			visit(part.node)
		}
	}
	return bad
}

// path notes what begins with a variable; false: n does not, and its parts are to be looked at.
func (u *Uses) path(n node, visit func(node)) bool {
	if v, ok := n.(*variable); ok {
		u.read(v.root, "")
		return true
	}
	if v, name, ok := rootMember(n); ok {
		u.read(v.root, name)
		if v.root == RootRequest {
			u.facts.allHeaders = u.facts.allHeaders || name == "headers"
			u.facts.allParams = u.facts.allParams || name == "params"
		}
		return true
	}
	of, key, rest := keyOf(n)
	v, name, ok := rootMember(of)
	if of == nil || !ok || v.root != RootRequest || name != "headers" && name != "params" {
		return false
	}
	u.read(v.root, name)
	if name == "headers" {
		u.facts.headers = addOnce(u.facts.headers, strings.ToLower(key))
	} else {
		u.facts.params = addOnce(u.facts.params, key)
	}
	for _, r := range rest {
		visit(r)
	}
	return true
}

// read notes a member of a variable; empty: any of them.
func (u *Uses) read(r Root, name string) {
	u.roots |= 1 << r
	all := name == ""
	content := all || name == "content" || name == "jsonContent" || name == "xmlContent" || name == "contentJson"
	switch r {
	case RootMessage:
		u.message = u.message || content || name == "contentLength"
	case RootResponse:
		u.response = u.response || content
	case RootRequest:
		u.request = u.request || content
		if all {
			u.facts.allHeaders, u.facts.allParams = true, true
			u.facts.members = rootMembers[RootRequest]
			return
		}
		u.facts.members = addOnce(u.facts.members, name)
	}
}

// rootMember tells whether n is a member of a variable, by a name that is written out.
func rootMember(n node) (v *variable, name string, ok bool) {
	of, key, _ := keyOf(n)
	v, ok = of.(*variable)
	return v, key, ok
}

// keyOf tells whether n takes a name that is written out from something, and what else it is made of.
func keyOf(n node) (of node, key string, rest []node) {
	switch n := n.(type) {
	case *member:
		return n.of, n.name, nil
	case *index:
		if l, ok := n.key.(*literal); ok && l.v.kind == Text {
			return n.of, l.v.text, nil
		}
	case *call:
		if len(n.args) == 0 || !slices.Contains([]string{"getFirst", "get", "getAll", "containsKey", "contains", "getOrDefault"}, n.name) {
			return nil, "", nil
		}
		if l, ok := n.args[0].(*literal); ok && l.v.kind == Text {
			return n.of, l.v.text, n.args[1:]
		}
	}
	return nil, "", nil
}
