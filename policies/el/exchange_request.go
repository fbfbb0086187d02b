package el

import (
	"net"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// Member implements Members.
func (s *requestVar) Member(name string) (Value, bool) {
	x := s.X
	switch name {
	case "id":
		return text(x.RequestID), true
	case "transactionId":
		return text(x.TransactionID), true
	case "pathInfo":
		return OfText(x.PathInfo), true
	case "pathInfos":
		return OfTexts(strings.Split(x.PathInfo, "/")), true
	case "contextPath":
		return OfText(x.ContextPath), true
	case "remoteAddress":
		return address(x.RemoteAddr), true
	case "pathParams", "pathParamsRaw":
		if s.PathParams == nil {
			return OfNames(&fields{}), true
		}
		return OfNames(s.PathParams), true
	}
	if x.HTTP != nil {
		return (*Exchange)(s).live(x.HTTP, name)
	}
	if s.Request != nil {
		return s.Request.Member(name)
	}
	return Value{}, isRequestMember(name)
}

func isRequestMember(name string) bool {
	return slices.Contains(rootMembers[RootRequest], name)
}

// address is the IP address, without the port.
func address(a net.Addr) Value {
	if a == nil {
		return Value{}
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return OfText(a.String())
	}
	return OfText(host)
}

// live reads what only the HTTP request has.
func (s *Exchange) live(ctx *fasthttp.RequestCtx, name string) (Value, bool) {
	switch name {
	case "uri":
		return ViewText(ctx.RequestURI()), true
	case "path":
		return ViewText(ctx.Path()), true
	case "paths":
		return OfTexts(strings.Split(string(ctx.Path()), "/")), true
	case "params":
		return OfNames((*liveParams)(ctx.QueryArgs())), true
	case "headers":
		return OfNames((*requestHeaders)(&ctx.Request.Header)), true
	case "method":
		return ViewText(ctx.Method()), true
	case "scheme", "rawScheme":
		if ctx.IsTLS() {
			return OfText("https"), true
		}
		return OfText("http"), true
	case "host":
		return ViewText(ctx.Host()), true
	case "version":
		if string(ctx.Request.Header.Protocol()) == "HTTP/1.0" {
			return OfText("HTTP_1_0"), true
		}
		return OfText("HTTP_1_1"), true
	case "timestamp":
		return OfLong(ctx.Time().UnixMilli()), true
	case "localAddress":
		return address(ctx.LocalAddr()), true
	case "ssl":
		return OfMembers(sslOf(ctx)), true
	}
	return s.body(name, ctx.Request.Body)
}

// body reads the three forms of a body.
func (s *Exchange) body(name string, get func() []byte) (Value, bool) {
	switch name {
	case "content":
		return ViewText(get()), true
	case "jsonContent", "contentJson":
		return s.jsonMap(get()), true
	case "xmlContent":
		return s.xmlMap(get()), true
	}
	return Value{}, false
}

// Member implements Members.
func (s *responseVar) Member(name string) (Value, bool) {
	r := &s.X.HTTP.Response
	switch name {
	case "status":
		return OfInt(int64(r.StatusCode())), true
	case "reason":
		return OfText(fasthttp.StatusMessage(r.StatusCode())), true
	case "headers":
		return OfNames((*responseHeaders)(&r.Header)), true
	}
	return (*Exchange)(s).body(name, r.Body)
}

type requestHeaders fasthttp.RequestHeader

// At implements Names.
func (h *requestHeaders) At(name string, i int) (string, bool) {
	return nth((*fasthttp.RequestHeader)(h).PeekAll(name), i)
}

// Count implements Names.
func (h *requestHeaders) Count(name string) int {
	return present((*fasthttp.RequestHeader)(h).PeekAll(name))
}

// Each implements Names.
func (h *requestHeaders) Each(f func(name string) bool) {
	eachName((*fasthttp.RequestHeader)(h).PeekKeys(), f)
}

type responseHeaders fasthttp.ResponseHeader

// At implements Names.
func (h *responseHeaders) At(name string, i int) (string, bool) {
	return nth((*fasthttp.ResponseHeader)(h).PeekAll(name), i)
}

// Count implements Names.
func (h *responseHeaders) Count(name string) int {
	return present((*fasthttp.ResponseHeader)(h).PeekAll(name))
}

// Each implements Names.
func (h *responseHeaders) Each(f func(name string) bool) {
	eachName((*fasthttp.ResponseHeader)(h).PeekKeys(), f)
}

// nth is one of the values of a header. fasthttp gives some that are absent as one value of nil.
func nth(values [][]byte, i int) (string, bool) {
	if i >= present(values) {
		return "", false
	}
	return viewString(values[i]), true
}

func present(values [][]byte) int {
	if len(values) == 1 && values[0] == nil {
		return 0
	}
	return len(values)
}

// eachName calls f for each name once. The names are copied first: f may ask for values, which moves them.
func eachName(names [][]byte, f func(name string) bool) {
	seen := make([]string, 0, len(names))
	for _, n := range names {
		name := string(n)
		if !containsFold(seen, name) {
			seen = append(seen, name)
		}
	}
	for _, name := range seen {
		if !f(name) {
			return
		}
	}
}

func containsFold(in []string, name string) bool {
	return slices.ContainsFunc(in, func(s string) bool { return strings.EqualFold(s, name) })
}

// liveParams are the parameters of the query. Their case matters.
type liveParams fasthttp.Args

func (p *liveParams) getReturnsList() {}

// At implements Names.
func (p *liveParams) At(name string, i int) (string, bool) {
	for k, v := range (*fasthttp.Args)(p).All() {
		if string(k) != name {
			continue
		}
		if i == 0 {
			return viewString(v), true
		}
		i--
	}
	return "", false
}

// Count implements Names.
func (p *liveParams) Count(name string) int {
	n := 0
	for k := range (*fasthttp.Args)(p).All() {
		if string(k) == name {
			n++
		}
	}
	return n
}

// Each implements Names.
func (p *liveParams) Each(f func(name string) bool) {
	var names []string
	for k := range (*fasthttp.Args)(p).All() {
		if name := string(k); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if !f(name) {
			return
		}
	}
}
