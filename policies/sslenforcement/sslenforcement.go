// Package sslenforcement is the policy "ssl-enforcement" (policies.md 5.10): requests that did not come over TLS, or not with the right
// client certificate, are refused.
//
// It stands in the request phase. TLS is that of the connection, or with useXForwardedProto what a proxy before the gateway says in
// X-Forwarded-Proto or Forwarded. The certificate is that of the connection, or of a header that such a proxy sets: PEM, also URL-encoded.
// Headers can be set by anybody who reaches the gateway without that proxy. Where client authentication is required the certificate
// must be there, its subject must fit one of the allowed names, if there are any, and so its issuer, policies and alternative names.
// Names are compared by attribute, in any order, and values may hold * and ?.
//
// Failures: 403 SSL_ENFORCEMENT_SSL_REQUIRED, 401 SSL_ENFORCEMENT_AUTHENTICATION_REQUIRED, 403 SSL_ENFORCEMENT_CLIENT_FORBIDDEN (parameter
// name), SSL_ENFORCEMENT_ISSUER_MISMATCH (issuer), SSL_ENFORCEMENT_OID_MISMATCH (required) and SSL_ENFORCEMENT_SAN_MISMATCH (whitelist). A
// certificate in a header proves only what the proxy proved: its chain is not looked at here.
package sslenforcement

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of ssl-enforcement.
type Config struct {
	// RequiresSSL refuses what did not come over TLS. Default true.
	RequiresSSL bool `json:"requiresSsl"`
	// UseXForwardedProto believes X-Forwarded-Proto and Forwarded. Default false.
	UseXForwardedProto bool `json:"useXForwardedProto"`
	// RequiresClientAuthentication refuses clients without a certificate. Default false.
	RequiresClientAuthentication bool `json:"requiresClientAuthentication"`
	// CertificateLocation is where the certificate is: SESSION (default), the connection, or HEADER.
	CertificateLocation string `json:"certificateLocation"`
	// CertificateHeaderName is the header that has it. Default ssl-client-cert.
	CertificateHeaderName string `json:"certificateHeaderName"`
	// WhitelistClientCertificates are the subjects that are let in, such as CN=*.example.org,O=Example; none: all.
	WhitelistClientCertificates []string `json:"whitelistClientCertificates"`
	// WhitelistIssuers are the issuers that are trusted, as subjects are written; none: all.
	WhitelistIssuers []string `json:"whitelistIssuers"`
	// RequiredCertificatePolicies are object identifiers of certificate policies, all of which the certificate must have.
	RequiredCertificatePolicies []string `json:"requiredCertificatePolicies"`
	// WhitelistSubjectAlternativeNames are patterns with * and ?, of which one must fit an alternative name, whatever the case; none:
	// all.
	WhitelistSubjectAlternativeNames []string `json:"whitelistSubjectAlternativeNames"`
}

// Type is the catalog entry.
var Type = policies.Type{ID: "ssl-enforcement", Name: "SSL Enforcement", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config {
	return &Config{RequiresSSL: true, CertificateLocation: "SESSION", CertificateHeaderName: "ssl-client-cert"}
}

// name is a distinguished name: attributes and patterns of their values.
type name map[string]*regexp.Regexp

type policy struct {
	Config
	clients, issuers []name
	alternatives     []*regexp.Regexp
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: *defaults()}
	problems := settings.Decode(cfg, &p.Config)
	if p.CertificateLocation != "SESSION" && p.CertificateLocation != "HEADER" {
		problems = append(problems, settings.Invalid("/certificateLocation", "must be SESSION or HEADER"))
	}
	p.clients = names(&problems, "/whitelistClientCertificates", p.WhitelistClientCertificates)
	p.issuers = names(&problems, "/whitelistIssuers", p.WhitelistIssuers)
	for i, oid := range p.RequiredCertificatePolicies {
		if _, err := x509.ParseOID(oid); err != nil {
			problems = append(problems, settings.Invalid(fmt.Sprintf("/requiredCertificatePolicies/%d", i), "must be an object identifier such as 2.23.140.1.2.1"))
		}
	}
	for _, text := range p.WhitelistSubjectAlternativeNames {
		p.alternatives = append(p.alternatives, wildcard(text))
	}
	return p, problems
}

// wildcard compiles a pattern of * and ?.
func wildcard(text string) *regexp.Regexp {
	re := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text))
	return regexp.MustCompile(`(?is)\A` + re + `\z`) // of quoted text: it always compiles
}

func names(problems *apidef.Problems, at string, list []string) []name {
	var out []name
	for i, text := range list {
		n := name{}
		for part := range strings.SplitSeq(text, ",") {
			key, value, ok := strings.Cut(part, "=")
			if !ok {
				*problems = append(*problems, settings.Invalid(fmt.Sprintf("%s/%d", at, i), "must be a name such as CN=client,O=Example"))
				break
			}
			n[strings.ToUpper(strings.TrimSpace(key))] = wildcard(strings.TrimSpace(value))
		}
		out = append(out, n)
	}
	return out
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	if !p.secure(c.Exchange.HTTP) {
		if !p.RequiresSSL {
			return nil
		}
		return failure(fasthttp.StatusForbidden, "SSL_REQUIRED", "Access to the resource requires SSL certificate.", "", nil)
	}
	if !p.RequiresClientAuthentication {
		return nil
	}
	cert, err := p.certificate(c.Exchange.HTTP)
	if cert == nil {
		f := failure(fasthttp.StatusUnauthorized, "AUTHENTICATION_REQUIRED", "Unauthorized", "", nil)
		f.Err = err
		return f
	}
	return p.check(cert)
}

// secure tells whether a request came over TLS.
func (p *policy) secure(http *fasthttp.RequestCtx) bool {
	if http.IsTLS() {
		return true
	}
	if !p.UseXForwardedProto {
		return false
	}
	h := &http.Request.Header
	first, _, _ := strings.Cut(string(h.Peek(fasthttp.HeaderXForwardedProto)), ",")
	if strings.EqualFold(strings.TrimSpace(first), "https") {
		return true
	}
	hop, _, _ := strings.Cut(strings.ToLower(string(h.Peek(fasthttp.HeaderForwarded))), ",")
	for part := range strings.SplitSeq(hop, ";") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(part), "proto="); ok && strings.Trim(v, `"`) == "https" {
			return true
		}
	}
	return false
}

// certificate returns the client's; nil: there is none, or it cannot be read.
func (p *policy) certificate(http *fasthttp.RequestCtx) (*x509.Certificate, error) {
	if p.CertificateLocation != "HEADER" {
		if state := http.TLSConnectionState(); state != nil && len(state.PeerCertificates) > 0 {
			return state.PeerCertificates[0], nil
		}
		return nil, nil //nolint:nilnil // there is none
	}
	text := string(http.Request.Header.Peek(p.CertificateHeaderName))
	if !strings.Contains(text, "\n") && !strings.Contains(text, "\t") {
		decoded, err := url.PathUnescape(text)
		if err != nil {
			return nil, fmt.Errorf("decode header %s: %w", p.CertificateHeaderName, err)
		}
		text = decoded
	}
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, "\t", "\n")))
	if block == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of header %s: %w", p.CertificateHeaderName, err)
	}
	return cert, nil
}

// check holds a certificate against the lists.
func (p *policy) check(cert *x509.Certificate) error {
	const refused = "You're not allowed to access this resource"
	if len(p.clients) > 0 && !slices.ContainsFunc(p.clients, func(n name) bool { return n.fits(&cert.Subject) }) {
		return failure(fasthttp.StatusForbidden, "CLIENT_FORBIDDEN", refused, "name", cert.Subject.String())
	}
	if len(p.issuers) > 0 && !slices.ContainsFunc(p.issuers, func(n name) bool { return n.fits(&cert.Issuer) }) {
		return failure(fasthttp.StatusForbidden, "ISSUER_MISMATCH", refused, "issuer", cert.Issuer.String())
	}
	for _, want := range p.RequiredCertificatePolicies {
		if !slices.ContainsFunc(cert.Policies, func(oid x509.OID) bool { return oid.String() == want }) {
			return failure(fasthttp.StatusForbidden, "OID_MISMATCH", refused, "required", p.RequiredCertificatePolicies)
		}
	}
	if len(p.alternatives) > 0 && !slices.ContainsFunc(alternatives(cert), func(text string) bool {
		return slices.ContainsFunc(p.alternatives, func(re *regexp.Regexp) bool { return re.MatchString(text) })
	}) {
		return failure(fasthttp.StatusForbidden, "SAN_MISMATCH", refused, "whitelist", p.WhitelistSubjectAlternativeNames)
	}
	return nil
}

func alternatives(cert *x509.Certificate) []string {
	out := slices.Concat(cert.DNSNames, cert.EmailAddresses)
	for _, ip := range cert.IPAddresses {
		out = append(out, ip.String())
	}
	for _, u := range cert.URIs {
		out = append(out, u.String())
	}
	return out
}

// labels are attributes by their object identifiers, beyond those that pkix names.
var labels = map[string]string{"2.5.4.6": "C", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.3": "CN", "2.5.4.5": "SERIALNUMBER", "2.5.4.7": "L",
	"2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.17": "POSTALCODE", "0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
	"1.2.840.113549.1.9.1": "EMAILADDRESS"}

// fits tells whether a name has as many attributes, and each with a value that fits.
func (n name) fits(of *pkix.Name) bool {
	if len(of.Names) != len(n) {
		return false
	}
	for _, a := range of.Names {
		label := labels[a.Type.String()]
		if label == "EMAILADDRESS" && n[label] == nil {
			label = "E"
		}
		if re := n[label]; re == nil || !re.MatchString(fmt.Sprint(a.Value)) {
			return false
		}
	}
	return true
}

func failure(status int, key, text, parameter string, value any) *message.Failure {
	f := &message.Failure{Status: status, Key: "SSL_ENFORCEMENT_" + key, Message: text}
	if parameter != "" {
		f.Parameters = map[string]any{parameter: value}
	}
	return f
}

var _ policies.RequestPolicy = (*policy)(nil)
