package apidef

import (
	"regexp"
	"strings"
)

// checkCORS checks what would make the preflight fail for everyone (spec 1.5).
func (c *checker) checkCORS(at string, cors *CORS) {
	if cors == nil {
		return
	}
	for i, origin := range cors.AllowOrigin {
		if !strings.ContainsAny(origin, "{[(*") || origin == "*" {
			continue // a literal
		}
		if _, err := regexp.Compile(origin); err != nil {
			c.fail(itemOf(at+"/allowOrigin", i), CodeCORSInvalid, "is no regular expression: %v", err)
		}
	}
	if cors.MaxAge != nil && *cors.MaxAge < -1 {
		c.fail(at+"/maxAge", CodeCORSInvalid, "must be a number of seconds, or -1 for none")
	}
	if cors.Enabled && len(cors.AllowMethods) == 0 {
		c.warn(at, CodeMemberIgnored, "allows no method, so every preflight is refused; set allowMethods")
	}
}
