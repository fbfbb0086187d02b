// Package httpsignature is the policies "http-signature" and "generate-http-signature" (policies.md 7.2, 7.3): HTTP signatures as in
// draft-cavage-http-signatures-12, with a shared secret.
//
// http-signature stands in the request phase and refuses requests without a valid signature: an algorithm that is allowed, all headers of
// enforceHeaders signed, those that are signed there, not created in the future nor expired, and the HMAC that of the secret. The path is
// signed without the query. In the secret #keyId is who the client says it is. Its failure is 401 HTTP_SIGNATURE_INVALID_SIGNATURE.
//
// generate-http-signature signs requests, answers, and messages on their way to subscribers, into Authorization, Signature or a header of
// your choice. It signs the configured headers, or Date where there are none; of requests the method and the URI with its query as
// (request-target); and when it was created and until when it counts. With signPayload it signs the body, alone or behind the values of the
// headers. So http-signature, which knows the path alone, verifies what it signed only without a query, or without signUri. Answers and
// messages have no (request-target). Where signed headers are missing, its failure is 400 for requests and 500 for answers
// HTTP_SIGNATURE_IMPOSSIBLE_GENERATION; messages go on without a signature, which is logged. keyId sees the context here, which it does not in
// the reference.
package httpsignature

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is one of the algorithms of the draft
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// algorithms by their names in configurations.
var algorithms = map[string]struct {
	wire string
	hash func() hash.Hash
}{"HMAC_SHA1": {"hmac-sha1", sha1.New}, "HMAC_SHA256": {"hmac-sha256", sha256.New}, "HMAC_SHA384": {"hmac-sha384", sha512.New384}, "HMAC_SHA512": {"hmac-sha512", sha512.New}}

const algorithmNames = "HMAC_SHA1, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512"

// Pseudo headers of the draft (section 2.3).
const (
	requestTarget = "(request-target)"
	createdName   = "(created)"
	expiresName   = "(expires)"
)

func checkAlgorithm(problems *apidef.Problems, pointer, name string) {
	if _, ok := algorithms[name]; !ok {
		*problems = append(*problems, settings.Invalid(pointer, "must be one of: "+algorithmNames))
	}
}

// sum is the HMAC of a text, in base64.
func sum(algorithm, secret string, text []byte) string {
	mac := hmac.New(algorithms[algorithm].hash, []byte(secret))
	mac.Write(text)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// signature is the parameters of one (section 2.1).
type signature struct {
	keyID, algorithm string // algorithm as on the wire; empty: none
	headers          []string
	created, expires string // Unix seconds; empty: none
	value            string
}

// string writes it.
func (s *signature) string() string {
	var b strings.Builder
	quoted := func(name, value string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`)
	}
	quoted("keyId", s.keyID)
	if s.created != "" {
		b.WriteString(",created=" + s.created)
	}
	if s.expires != "" {
		b.WriteString(",expires=" + s.expires)
	}
	quoted("algorithm", s.algorithm)
	if len(s.headers) > 0 {
		quoted("headers", strings.Join(s.headers, " "))
	}
	quoted("signature", s.value)
	return b.String()
}

// maxSignature bounds the text of a signature, in bytes.
const maxSignature = 8 << 10

// parse reads one; ok false: it is malformed. strict: only numbers may stand without quotes.
func parse(text string, strict bool) (s signature, ok bool) {
	if len(text) > maxSignature {
		return s, false
	}
	into := map[string]*string{"keyId": &s.keyID, "algorithm": &s.algorithm, "created": &s.created, "expires": &s.expires, "signature": &s.value}
	var headers string
	into["headers"] = &headers
	seen := map[string]bool{}
	for text = strings.TrimSpace(text); text != ""; {
		name, rest, found := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		value, rest, fine := cutValue(strings.TrimSpace(rest), strict)
		if !found || !fine || seen[name] {
			return s, false
		}
		seen[name] = true
		if dst := into[name]; dst != nil {
			*dst = value
		}
		text = rest
	}
	s.headers = strings.Fields(strings.ToLower(headers))
	if !seen["headers"] {
		s.headers = []string{createdName} // section 2.1.6
	}
	return s, s.keyID != "" && s.value != "" && len(s.headers) > 0
}

// cutValue reads a parameter's value up to the next comma.
func cutValue(text string, strict bool) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ",")
		value = strings.TrimSpace(value)
		_, err := strconv.ParseInt(value, 10, 64)
		return value, strings.TrimSpace(rest), value != "" && (!strict || err == nil)
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i++; i < len(text) {
				b.WriteByte(text[i])
			}
		case '"':
			rest = strings.TrimSpace(text[i+1:])
			if rest != "" && !strings.HasPrefix(rest, ",") {
				return "", "", false
			}
			return b.String(), strings.TrimSpace(strings.TrimPrefix(rest, ",")), true
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// source is what is signed.
type source struct {
	target string // of (request-target); empty: none
	// header returns the values of a header, joined; ok false: there is none.
	header func(name string) (value string, ok bool)
}

// text is the signing string (section 2.3). missing are the headers that there are not.
func (s *signature) text(from source) (text []byte, missing []string) {
	var lines []string
	for _, name := range s.headers {
		value, ok := "", true
		switch name {
		case requestTarget:
			value, ok = from.target, from.target != ""
		case createdName:
			value, ok = s.created, s.created != ""
		case expiresName:
			value, ok = s.expires, s.expires != ""
		default:
			value, ok = from.header(name)
		}
		if !ok {
			missing = append(missing, name)
		}
		lines = append(lines, name+": "+value)
	}
	return []byte(strings.Join(lines, "\n")), missing
}

// algorithmOf is the configured name of an algorithm; empty: it is unknown. hs2019 leaves it to the secret's owner: the first allowed.
func algorithmOf(wire string, allowed []string) string {
	for _, name := range allowed {
		if algorithms[name].wire == strings.ToLower(wire) || wire == "" || strings.EqualFold(wire, "hs2019") {
			return name
		}
	}
	return ""
}

// lower is a list in lower case, without blanks.
func lower(list []string) []string {
	out := make([]string, 0, len(list))
	for _, name := range list {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
