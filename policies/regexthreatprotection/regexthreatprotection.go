// Package regexthreatprotection is the policy "regex-threat-protection" (policies.md 5.6): requests in which a regular expression matches
// are refused.
//
// It stands in the request phase and looks at the names and values of headers, at the path and the query parameters, and at the body. Of
// headers, path and parameters the expression must match all of a text; of the body all with fullMatching, else any part. Texts above 1 MiB
// are refused without a look where the expression would have to be tried on them.
//
// Failures are 400 Bad Request: REGEX_THREAT_HEADER_DETECTED, REGEX_THREAT_PATH_DETECTED and REGEX_THREAT_BODY_DETECTED. Expressions are
// Java's without what takes more than linear time, look-around and back references, which are refused at deploy.
package regexthreatprotection

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/el"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of regex-threat-protection.
type Config struct {
	// Regex is the regular expression. Required.
	Regex string `json:"regex"`
	// CaseSensitive tells capitals apart. Default false.
	CaseSensitive bool `json:"caseSensitive"`
	// FullMatching has the expression match all of a body. Default true.
	FullMatching bool `json:"fullMatching"`
	// CheckHeaders looks at headers. Default true.
	CheckHeaders bool `json:"checkHeaders"`
	// CheckPath looks at the path and the query parameters. Default true.
	CheckPath bool `json:"checkPath"`
	// CheckBody looks at the body. Default true.
	CheckBody bool `json:"checkBody"`
}

// maxText bounds a text on which the expression is tried, in bytes.
const maxText = 1 << 20

// Type is the catalog entry.
var Type = policies.Type{ID: "regex-threat-protection", Name: "Regex Threat Protection", Phases: policies.Request, Config: defaults(), Compile: compile}

func defaults() *Config {
	return &Config{FullMatching: true, CheckHeaders: true, CheckPath: true, CheckBody: true}
}

type policy struct {
	Config
	whole, body *regexp.Regexp
}

func compile(cfg json.RawMessage, _ policies.Env) (any, apidef.Problems) {
	p := &policy{Config: *defaults()}
	problems := settings.Decode(cfg, &p.Config)
	if p.Regex == "" {
		return p, append(problems, settings.Invalid("/regex", "is required: a regular expression"))
	}
	text := p.Regex
	if !p.CaseSensitive {
		text = "(?i)" + text
	}
	var err error
	if p.whole, err = el.CompileRegexp(text, true); err == nil {
		p.body, err = el.CompileRegexp(text, p.FullMatching)
	}
	if err != nil {
		problems = append(problems, settings.Invalid("/regex", err.Error()))
	}
	return p, problems
}

// OnRequest implements policies.RequestPolicy.
func (p *policy) OnRequest(_ context.Context, c *policies.Context) error {
	http := c.Exchange.HTTP
	if p.CheckHeaders {
		for name, value := range http.Request.Header.All() {
			if found(p.whole, name) || found(p.whole, value) {
				return detected("HEADER")
			}
		}
	}
	if p.CheckPath {
		if path, err := url.PathUnescape(c.Exchange.PathInfo); err != nil || found(p.whole, []byte(path)) {
			return detected("PATH")
		}
		for name, value := range http.QueryArgs().All() {
			if found(p.whole, name) || found(p.whole, value) {
				return detected("PATH")
			}
		}
	}
	if p.CheckBody {
		if body := http.Request.Body(); len(body) > 0 && found(p.body, body) {
			return detected("BODY")
		}
	}
	return nil
}

func found(re *regexp.Regexp, text []byte) bool { return len(text) > maxText || re.Match(text) }

func detected(what string) error {
	return &message.Failure{Status: fasthttp.StatusBadRequest, Key: "REGEX_THREAT_" + what + "_DETECTED", Message: "Bad Request"}
}

var _ policies.RequestPolicy = (*policy)(nil)
