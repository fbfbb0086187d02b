package el

import (
	"github.com/sluice-gateway/sluice/qos/exchange"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Exchange is the Scope of one exchange, and of its messages one after the other. Fields that are nil give null. One
// goroutine at a time uses it; it may be used again for another exchange after Reset.
type Exchange struct {
	X            *exchange.Exchange
	API          *API
	Subscription *Subscription
	// Request is what SnapshotRequest kept of the request; it is read where X has no HTTP any more.
	Request    *Request
	PathParams Names // of the path pattern that matched
	Failure    *Failure
	Secrets    Secrets
	// Other are variables that policies provide, by name; one of the gateway's names takes that one's place.
	Other map[string]Value

	message  *message.Message
	fields   []message.Field
	hasField bool
	docs     Documents
}

// API is what expressions see of an API, the same for all exchanges of a revision. It must not be changed.
type API struct {
	Properties   map[string]string
	Dictionaries map[string]map[string]string
	Endpoints    map[string]string // by the names of endpoints and groups: the name with a colon (addenda 3.0-c)
	Node         Node
}

// Node is the worker.
type Node struct {
	ID, Version, Tenant, Zone string
	ShardingTags              []string
}

// Subscription is what expressions see of a subscription.
type Subscription struct {
	ID, Type, ClientID, ApplicationName, APIProductID string
	Metadata                                          map[string]string
}

// Failure is what response templates see of an error (spec 5.7).
type Failure struct {
	Status              int
	Key, Message, Cause string
	Parameters          map[string]any
}

// Secrets gives secrets (addenda 6.2-j).
type Secrets interface {
	// Get returns the secret at a URI, such as /vault/secret/x or /vault/secret/x:key; key is empty where it is in the URI.
	// It is called while an exchange waits, so it must answer from memory.
	Get(uri, key string) (string, error)
}

// SetMessage makes m the message that expressions see; nil: none. What they were told of the one before must not be used any
// more, other than what Eval returned.
func (s *Exchange) SetMessage(m *message.Message) {
	s.message, s.hasField = m, false
	s.docs.Reset()
}

// Changed says that a body was changed, so that it is parsed anew.
func (s *Exchange) Changed() { s.docs.Reset() }

// Reset empties s for another exchange.
func (s *Exchange) Reset() {
	fields := s.fields[:cap(s.fields)]
	clear(fields)
	*s = Exchange{fields: fields[:0]}
}

// Documents implements Scope.
func (s *Exchange) Documents() *Documents { return &s.docs }

// Variable implements Scope.
func (s *Exchange) Variable(root Root, name string) Value {
	if s.Other != nil {
		if v, ok := s.Other[name]; ok {
			return v
		}
	}
	switch root {
	case RootMessage:
		if s.message != nil {
			return OfMembers((*messageVar)(s))
		}
	case RootRequest:
		if s.X != nil {
			return OfMembers((*requestVar)(s))
		}
	case RootResponse:
		if s.X != nil && s.X.HTTP != nil {
			return OfMembers((*responseVar)(s))
		}
	case RootContext:
		if s.X != nil {
			return OfMembers((*contextVar)(s))
		}
	case RootSubscription:
		if s.Subscription != nil {
			return OfMembers(s.Subscription)
		}
	case RootError:
		if s.Failure != nil {
			return OfMembers(s.Failure)
		}
	case RootParameters:
		if s.Failure != nil {
			return OfMap(AnyMap(s.Failure.Parameters))
		}
	case RootSecrets:
		if s.Secrets != nil {
			return OfMembers((*secretsVar)(s))
		}
	default:
		return s.ofAPI(root)
	}
	return Value{}
}

// ofAPI returns the variables that are the same for all exchanges.
func (s *Exchange) ofAPI(root Root) Value {
	switch {
	case root == RootAPI && s.X != nil && s.X.API != nil:
		return OfMembers((*apiVar)(s))
	case s.API == nil:
		return Value{}
	}
	switch root {
	case RootProperties:
		return OfMap(TextMap(s.API.Properties))
	case RootDictionaries:
		return OfMap(dictionaries(s.API.Dictionaries))
	case RootEndpoints:
		return OfMap(TextMap(s.API.Endpoints))
	case RootNode:
		return OfMembers(&s.API.Node)
	}
	return Value{}
}

type (
	messageVar  Exchange
	requestVar  Exchange
	responseVar Exchange
	contextVar  Exchange
	apiVar      Exchange
	secretsVar  Exchange
)

// text is null where there is none.
func text(s string) Value {
	if s == "" {
		return Value{}
	}
	return OfText(s)
}

// Member implements Members.
func (s *apiVar) Member(name string) (Value, bool) {
	switch name {
	case "id":
		return text(s.X.API.ID), true
	case "name":
		return text(s.X.API.Name), true
	case "version":
		return text(s.X.API.Version), true
	case "properties":
		return (*Exchange)(s).ofAPI(RootProperties), true
	}
	return Value{}, false
}

// Member implements Members.
func (n *Node) Member(name string) (Value, bool) {
	switch name {
	case "id":
		return text(n.ID), true
	case "version":
		return text(n.Version), true
	case "tenant":
		return text(n.Tenant), true
	case "zone":
		return text(n.Zone), true
	case "shardingTags":
		return OfTexts(n.ShardingTags), true
	}
	return Value{}, false
}

// Member implements Members.
func (s *Subscription) Member(name string) (Value, bool) {
	switch name {
	case "id":
		return text(s.ID), true
	case "type":
		return text(s.Type), true
	case "clientId":
		return text(s.ClientID), true
	case "applicationName":
		return text(s.ApplicationName), true
	case "apiProductId":
		return text(s.APIProductID), true
	case "metadata":
		return OfMap(TextMap(s.Metadata)), true
	}
	return Value{}, false
}

// Member implements Members.
func (f *Failure) Member(name string) (Value, bool) {
	switch name {
	case "statusCode", "status":
		return OfInt(int64(f.Status)), true
	case "key":
		return text(f.Key), true
	case "message":
		return text(f.Message), true
	case "parameters":
		return OfMap(AnyMap(f.Parameters)), true
	case "cause":
		if f.Cause == "" {
			return text(f.Message), true
		}
		return OfText(f.Cause), true
	}
	return Value{}, false
}

// Member implements Members.
func (s *contextVar) Member(name string) (Value, bool) {
	if name == "attributes" {
		return ViewMap((*attributes)(s)), true
	}
	return Value{}, false
}

// Member implements Members.
func (s *secretsVar) Member(string) (Value, bool) { return Value{}, false }

func (s *secretsVar) invoke(m *machine, name string, a []Value) (Value, bool, error) {
	if name != "get" {
		return Value{}, false, nil
	}
	uri, err := argText(m, a[0])
	key := ""
	if err == nil && len(a) == 2 {
		key, err = argText(m, a[1])
	}
	if err != nil {
		return Value{}, true, err
	}
	secret, err := s.Secrets.Get(uri, key)
	if err != nil {
		return Value{}, true, &fault{code: CodeSecret, text: "the secret " + quoteShort(uri) + " cannot be had", err: err}
	}
	return OfText(secret), true, nil
}

var _ Scope = (*Exchange)(nil)
