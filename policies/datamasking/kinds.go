package datamasking

import (
	"net/netip"
	"regexp"
)

// kind is a type of text that rules name.
type kind struct {
	match *regexp.Regexp
	is    func(text []byte) bool
}

var kinds = map[string]kind{
	"CREDIT_CARD": {regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`), luhn},
	"EMAIL":       {regexp.MustCompile(`[A-Za-z0-9._%+'-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)+`), nil},
	"IP":          {regexp.MustCompile(`[0-9A-Fa-f:.]*[0-9A-Fa-f:]`), isAddress},
	"URI":         {regexp.MustCompile(`\b[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+`), nil},
}

// luhn is the check digit that card numbers have (ISO/IEC 7812-1 annex B).
func luhn(text []byte) bool {
	sum, double := 0, false
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] < '0' || text[i] > '9' {
			continue
		}
		d := int(text[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

func isAddress(text []byte) bool {
	_, err := netip.ParseAddr(string(text))
	return err == nil
}
