package el

// Scope gives the variables of one evaluation their values. One goroutine at a time uses it.
type Scope interface {
	// Variable returns a variable: one of the gateway's by its root, others (RootOther) by their name. Null: there is none.
	// It must not do the work of members that nobody asks for.
	Variable(root Root, name string) Value
	// Documents is where documents that were parsed are kept for the next expression; nil: nowhere.
	Documents() *Documents
}

// Root is a variable of the gateway (spec 6.2).
type Root uint8

// Roots.
const (
	RootOther Root = iota // a variable that a policy provides, such as calloutResponse or group
	RootRequest
	RootResponse
	RootMessage
	RootContext
	RootSubscription
	RootAPI
	RootProperties
	RootDictionaries
	RootEndpoints
	RootNode
	RootError
	RootParameters
	RootSecrets
	roots_
)

var rootNames = [roots_]string{RootRequest: "request", RootResponse: "response", RootMessage: "message", RootContext: "context",
	RootSubscription: "subscription", RootAPI: "api", RootProperties: "properties", RootDictionaries: "dictionaries",
	RootEndpoints: "endpoints", RootNode: "node", RootError: "error", RootParameters: "parameters", RootSecrets: "secrets"}

func (r Root) String() string {
	if r == RootOther {
		return "other"
	}
	return rootNames[r]
}

func rootOf(name string) Root {
	for r := RootRequest; r < roots_; r++ {
		if rootNames[r] == name {
			return r
		}
	}
	return RootOther
}

// rootMembers are the members of the variables whose members are always the same. Those that the reference has not are a
// superset: message.timestamp, topic, key, partition, offset, jsonContent and xmlContent, request.rawScheme and pathParamsRaw.
var rootMembers = map[Root][]string{
	RootRequest: {"id", "transactionId", "uri", "path", "paths", "pathInfo", "pathInfos", "contextPath", "params", "pathParams",
		"pathParamsRaw", "headers", "method", "scheme", "rawScheme", "host", "version", "timestamp", "remoteAddress", "localAddress",
		"content", "jsonContent", "xmlContent", "ssl"},
	RootResponse: {"status", "reason", "headers", "content", "jsonContent", "xmlContent", "contentJson"},
	RootMessage: {"id", "error", "headers", "metadata", "attributes", "content", "contentLength", "jsonContent", "xmlContent",
		"timestamp", "topic", "key", "partition", "offset"},
	RootContext:      {"attributes"},
	RootSubscription: {"id", "type", "metadata", "clientId", "applicationName", "apiProductId"},
	RootAPI:          {"id", "name", "version", "properties"},
	RootNode:         {"id", "version", "tenant", "zone", "shardingTags"},
	RootError:        {"statusCode", "status", "key", "message", "parameters", "cause"},
	RootSecrets:      {},
}

// members returns what a variable has; nil: that is not known.
func (r Root) members() []string { return rootMembers[r] }
