package mqttclient

import "strings"

// maxText bounds every text of MQTT, in bytes (MQTT 5, 1.5.4).
const maxText = 65535

// topicProblem says what is wrong with a topic to publish to; empty: nothing.
func topicProblem(topic string) string {
	switch {
	case topic == "":
		return "is no topic"
	case strings.ContainsAny(topic, "+#"):
		return "is no topic to publish to: it has wildcards"
	case len(topic) > maxText || clean(topic) != topic:
		return "is no topic: it must be UTF-8 text without control characters"
	}
	return ""
}

// sharePrefix begins a shared subscription: $share/group/filter (MQTT 5, 4.8.2).
const sharePrefix = "$share/"

func isShared(filter string) bool { return strings.HasPrefix(filter, sharePrefix) }

// filterProblem says what is wrong with a topic filter (MQTT 5, 4.7.1 and 4.8.2); empty: nothing.
func filterProblem(filter string) string {
	if len(filter) > maxText || clean(filter) != filter {
		return "is no topic filter: it must be UTF-8 text without control characters"
	}
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		group, inner, found := strings.Cut(rest, "/")
		if group == "" || !found || strings.ContainsAny(group, "+#") {
			return "is no shared subscription: it must be $share/group/filter"
		}
		filter = inner
	}
	if filter == "" {
		return "is no topic filter"
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == "#" && i == len(levels)-1 || level == "+" {
			continue
		}
		if strings.ContainsAny(level, "+#") {
			return `is no topic filter: "+" and "#" stand for whole levels, "#" at the end only`
		}
	}
	return ""
}

// covers tells whether a message on topic is one that the filter asks for (MQTT 5, 4.7).
func covers(filter, topic string) bool {
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false // MQTT 5, 4.7.2
	}
	for {
		level, rest, more := strings.Cut(filter, "/")
		if level == "#" {
			return true
		}
		name, below, deeper := strings.Cut(topic, "/")
		switch {
		case level != "+" && level != name:
			return false
		case !more:
			return !deeper
		case !deeper:
			return rest == "#" // "a/#" takes "a" as well
		}
		filter, topic = rest, below
	}
}
