package el

import (
	"crypto/x509/pkix"
	"strings"

	"github.com/valyala/fasthttp"
)

// ssl is what expressions see of the TLS connection (addenda 6.2-h).
type ssl struct {
	host, port string
	client     principal
	server     principal
}

func sslOf(ctx *fasthttp.RequestCtx) *ssl {
	s := &ssl{}
	state := ctx.TLSConnectionState()
	if state == nil {
		return s
	}
	if v := address(ctx.RemoteAddr()); v.kind == Text {
		s.host = v.text
		s.port = strings.TrimPrefix(ctx.RemoteAddr().String()[strings.LastIndexByte(ctx.RemoteAddr().String(), ':')+1:], ":")
	}
	if len(state.PeerCertificates) > 0 {
		s.client.name = &state.PeerCertificates[0].Subject
	}
	return s
}

// Member implements Members.
func (s *ssl) Member(name string) (Value, bool) {
	switch name {
	case "clientHost":
		return text(s.host), true
	case "clientPort":
		return text(s.port), true
	case "client":
		return OfMembers(&s.client), true
	case "server":
		return OfMembers(&s.server), true
	}
	return Value{}, false
}

// principal is the subject of a certificate; name nil: there is none, and every member is an empty text.
type principal struct{ name *pkix.Name }

// attributeOIDs are the attributes of a distinguished name by the names that members have (RFC 4519, X.520, PKCS #9).
var attributeOIDs = map[string]string{"c": "2.5.4.6", "cn": "2.5.4.3", "o": "2.5.4.10", "ou": "2.5.4.11", "l": "2.5.4.7",
	"st": "2.5.4.8", "street": "2.5.4.9", "t": "2.5.4.12", "serialnumber": "2.5.4.5", "surname": "2.5.4.4", "name": "2.5.4.41",
	"givenname": "2.5.4.42", "initials": "2.5.4.43", "generation": "2.5.4.44", "uniqueIdentifier": "2.5.4.45", "dnQualifier": "2.5.4.46",
	"description": "2.5.4.13", "businessCategory": "2.5.4.15", "postalAddress": "2.5.4.16", "postalCode": "2.5.4.17",
	"telephoneNumber": "2.5.4.20", "dmdName": "2.5.4.54", "pseudonym": "2.5.4.65", "role": "2.5.4.72", "organizationIdentifier": "2.5.4.97",
	"dc": "0.9.2342.19200300.100.1.25", "uid": "0.9.2342.19200300.100.1.1", "e": "1.2.840.113549.1.9.1",
	"emailAddress": "1.2.840.113549.1.9.1", "unstructuredAddress": "1.2.840.113549.1.9.8", "dateOfBirth": "1.3.6.1.5.5.7.9.1",
	"placeOfBirth": "1.3.6.1.5.5.7.9.2", "gender": "1.3.6.1.5.5.7.9.3", "countryOfCitizenship": "1.3.6.1.5.5.7.9.4",
	"countryOfResidence": "1.3.6.1.5.5.7.9.5", "nameAtBirth": "1.3.36.8.3.14"}

// Member implements Members.
func (p *principal) Member(name string) (Value, bool) {
	switch name {
	case "defined":
		return OfBool(p.name != nil), true
	case "attributes":
		return OfNames(p), true
	case "dn":
		if p.name == nil {
			return OfText(""), true
		}
		return OfText(p.name.String()), true
	}
	if _, ok := attributeOIDs[name]; !ok {
		return Value{}, false
	}
	if p.name == nil {
		return OfText(""), true
	}
	s, ok := p.At(name, 0)
	if !ok {
		return Value{}, true
	}
	return OfText(s), true
}

// oid is the number of an attribute, which may be given by its name in any case or by its number.
func oid(name string) string {
	for k, o := range attributeOIDs {
		if strings.EqualFold(k, name) {
			return o
		}
	}
	return name
}

// At implements Names.
func (p *principal) At(name string, i int) (string, bool) {
	if p.name == nil {
		return "", false
	}
	want := oid(name)
	for _, a := range p.name.Names {
		if a.Type.String() != want {
			continue
		}
		if i == 0 {
			s, ok := a.Value.(string)
			return s, ok
		}
		i--
	}
	return "", false
}

// Count implements Names.
func (p *principal) Count(name string) int {
	n := 0
	for {
		if _, ok := p.At(name, n); !ok {
			return n
		}
		n++
	}
}

// Each implements Names.
func (p *principal) Each(f func(name string) bool) {
	if p.name == nil {
		return
	}
	seen := map[string]bool{}
	for _, a := range p.name.Names {
		o := a.Type.String()
		if !seen[o] && !f(o) {
			return
		}
		seen[o] = true
	}
}
