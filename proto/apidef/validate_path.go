package apidef

import (
	"net"
	"regexp"
	"strings"
)

// pathCharacters are those of an RFC 3986 path, and percent signs only before two hexadecimal digits.
var pathCharacters = regexp.MustCompile(`^(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*$`)

// checkPaths applies the rules of spec 1.4 to one listener. Seen holds the paths of the whole API.
func (c *checker) checkPaths(at string, l *Listener, seen map[Path]bool) {
	if len(l.Paths) == 0 {
		c.fail(at+"/paths", CodePathsMissing, `is required: an http listener needs a path, e.g. [{"path": "/orders"}]`)
	}
	for i, p := range l.Paths {
		here := itemOf(at+"/paths", i)
		if !pathCharacters.MatchString(p.Path) {
			c.fail(here+"/path", CodePathInvalid, "Path [%s] is invalid: a path holds letters, digits and -._~!$&'()*+,;=:@%%", p.Path)
		}
		if p.Host != "" && !validHost(p.Host, true) {
			c.fail(here+"/host", CodePathHostInvalid, "%s is no host name", p.Host)
		}
		key := pathKey(p)
		if seen[key] {
			c.fail(here+"/path", CodePathDuplicate, "Path [%s] is duplicated", p.Path)
		}
		seen[key] = true
	}
}

// pathKey is what makes two paths the same: host names have no case.
func pathKey(p Path) Path { return Path{Host: strings.ToLower(p.Host), Path: sanitisePath(p.Path)} }

func (c *checker) checkTCPHosts(at string, l *Listener) {
	if len(l.Hosts) == 0 {
		c.fail(at+"/hosts", CodeListenerHosts, "is required: a tcp listener is found by the TLS server name, e.g. [\"mq.example.com\"]")
	}
	seen := map[string]bool{}
	for i, host := range l.Hosts {
		here, key := itemOf(at+"/hosts", i), strings.ToLower(host)
		if !validHost(host, false) {
			c.fail(here, CodeListenerHost, "%q is no host name", host)
		}
		if seen[key] {
			c.fail(here, CodeListenerHostTwice, "%s stands twice; keep one", host)
		}
		seen[key] = true
	}
}

// maxKafkaLabel bounds the first label of a Kafka host, since broker names are made by adding to it (spec 1.4).
const maxKafkaLabel = 50

func (c *checker) checkKafkaHost(at string, l *Listener) {
	first, _, _ := strings.Cut(l.Host, ".")
	switch {
	case l.Host == "":
		c.fail(at+"/host", CodeListenerHosts, "is required: Kafka clients find the API by it, e.g. orders.kafka.local")
	case !validHost(l.Host, false):
		c.fail(at+"/host", CodeListenerHost, "%s is no host name", l.Host)
	case len(first) >= maxKafkaLabel:
		c.fail(at+"/host", CodeListenerHost, "begins with a name of %d characters; broker names are made from it, so it must have fewer than %d", len(first), maxKafkaLabel)
	}
	if !validPort(l.Port) && l.Port != 0 {
		c.fail(at+"/port", CodeListenerHost, "%d is no port; a port is 1 to 65535", l.Port)
	}
}

func validPort(port int) bool { return 0 < port && port <= 65535 }

// Bounds of a host name. maxHost is the reference's own (spec 1.4), maxLabel that of RFC 1035.
const (
	maxHost  = 255
	maxLabel = 63
)

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$`)

// validHost tells whether s is a host name or an IP address, and where withPort is set, also one with a port.
func validHost(s string, withPort bool) bool {
	if host, port, err := net.SplitHostPort(s); withPort && err == nil && port != "" {
		s = host
	}
	if len(s) == 0 || len(s) > maxHost {
		return false
	}
	if net.ParseIP(s) != nil {
		return true
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > maxLabel || !hostLabel.MatchString(label) {
			return false
		}
	}
	return true
}
