package apidef

import "encoding/json"

// checkAnalytics applies the rules of spec 1.9.
func (c *checker) checkAnalytics() {
	a := c.api.Analytics
	if a == nil {
		return
	}
	if s := a.MessageSampling; s != nil {
		if c.api.Type == TypeProxy {
			c.fail("/analytics/messageSampling", CodeAnalyticsIncompatible, "a proxy API has no messages to sample; remove it")
		} else {
			c.checkSampling("/analytics/messageSampling/value", s)
		}
	}
	if len(a.Logging) > 0 {
		c.checkLogging(a.Logging)
	}
}

func (c *checker) checkLogging(logging json.RawMessage) {
	const at = "/analytics/logging"
	log := openFlags(logging)
	if (log.on("mode", "entrypoint") || log.on("mode", "endpoint")) && (log.at("phase") == nil || log.at("content") == nil) {
		c.fail(at, CodeLoggingInvalid, "says where to log but not what; add phase and content")
	}
	switch c.api.Type {
	case TypeProxy:
		for _, name := range []string{"messageHeaders", "messagePayload", "messageMetadata"} {
			if log.on("content", name) {
				c.fail(at+"/content/"+name, CodeLoggingIncompatible, "a proxy API has no messages to log; remove it")
			}
		}
		if n := log.at("messageCondition"); n != nil && n.text != "" {
			c.fail(at+"/messageCondition", CodeLoggingIncompatible, "a proxy API has no messages to log; remove it")
		}
	case TypeMessage:
		if log.on("content", "payload") {
			c.fail(at+"/content/payload", CodeLoggingIncompatible, "a message API logs messages; write messagePayload")
		}
	}
}

// flags reads switches out of an opaque object: the value at a path of names, or false.
type flags struct{ root *node }

func openFlags(v json.RawMessage) flags {
	n, _ := parseJSON(v)
	return flags{n}
}

func (f flags) at(names ...string) *node {
	n := f.root
	for _, name := range names {
		n = n.get(name)
	}
	return n
}

func (f flags) on(names ...string) bool {
	n := f.at(names...)
	return n != nil && n.kind == flagKind && n.text == "true"
}
