package security

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Mechanism is the object form of SASL settings. Which settings belong to which type is in fieldsOf; all types take
// SASLJaasConfig instead, except OAUTHBEARER_TOKEN.
type Mechanism struct {
	// Type: NONE, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, OAUTHBEARER_TOKEN, AWS_MSK_IAM or GSSAPI.
	Type     string `json:"type"`
	Username string `json:"username"`
	Password string `json:"password"`
	// TokenURL answers the client credentials grant with an access token.
	TokenURL     string `json:"tokenUrl"`
	ClientID     string `json:"clientId"`
	ClientSecret string `json:"clientSecret"`
	// Scopes is a list, or text with spaces or commas between the scopes.
	Scopes json.RawMessage `json:"scopes"`
	// SASLExtensions are sent with the token.
	SASLExtensions []Extension `json:"saslExtensions"`
	// Token is sent as it is.
	Token string `json:"token"`
	// SASLJaasConfig is a login module as in a Java client's sasl.jaas.config.
	SASLJaasConfig string `json:"saslJaasConfig"`

	scopes    string
	delegated bool // Username and Password are a delegation token's
	profile   string
	kerberos  kerberosLogin
}

// Extension is a SASL extension (RFC 7628 section 3.1).
type Extension struct {
	Key   string `json:"extensionKey"`
	Value string `json:"extensionValue"`
}

// Types of mechanisms.
const (
	typeNone     = "NONE"
	typePlain    = "PLAIN"
	typeSCRAM256 = "SCRAM-SHA-256"
	typeSCRAM512 = "SCRAM-SHA-512"
	typeBearer   = "OAUTHBEARER"
	typeToken    = "OAUTHBEARER_TOKEN"
	typeAWS      = "AWS_MSK_IAM"
	typeGSSAPI   = "GSSAPI"
	typeDelegate = "DELEGATE_TO_BROKER"
)

// modules are the login modules of JAAS texts.
var modules = map[string]string{
	typePlain: "PlainLoginModule", typeSCRAM256: "ScramLoginModule", typeSCRAM512: "ScramLoginModule",
	typeBearer: "OAuthBearerLoginModule", typeAWS: "IAMLoginModule", typeGSSAPI: "Krb5LoginModule",
}

// fieldsOf are the settings of each type beside saslJaasConfig.
var fieldsOf = map[string][]string{
	typePlain: {"username", "password"}, typeSCRAM256: {"username", "password"}, typeSCRAM512: {"username", "password"},
	typeBearer: {"tokenUrl", "clientId", "clientSecret", "scopes", "saslExtensions"}, typeToken: {"token", "saslExtensions"},
	typeAWS: {}, typeGSSAPI: {},
}

// sasl checks the block; it returns nil without SASL and where something is wrong.
func (c *checker) sasl(at, protocol string, cfg *SASL) sasl.Mechanism {
	wanted := protocol == protocolSASLPlaintext || protocol == protocolSASLSSL
	m, from := c.mechanismOf(at, cfg)
	if m == nil {
		if from == "" && wanted {
			c.fail(at+"/mechanism", "is required with protocol "+protocol)
		}
		return nil
	}
	switch {
	case protocol == protocolPlain, protocol == protocolSSL:
		c.fail(at, "has no effect with protocol "+protocol+"; choose SASL_PLAINTEXT or SASL_SSL")
	case m.Type == typeAWS && protocol == protocolSASLPlaintext:
		c.fail(from, "AWS_MSK_IAM needs protocol SASL_SSL")
	}
	before := len(c.problems)
	mechanism := c.build(from, m)
	if len(c.problems) > before {
		return nil
	}
	return mechanism
}

// mechanismOf makes one of the two forms. It returns where the settings are; nil and a place where they are wrong.
func (c *checker) mechanismOf(at string, cfg *SASL) (m *Mechanism, from string) {
	if cfg == nil {
		return nil, ""
	}
	m, from = &Mechanism{}, at+"/mechanism"
	if len(cfg.Mechanism) > 0 {
		var name string
		if json.Unmarshal(cfg.Mechanism, &name) == nil {
			m.Type = name // the type alone, with the JAAS text beside it
			m.SASLJaasConfig = cfg.JAAS
		} else if !c.decode(from, cfg.Mechanism, m) {
			return nil, from
		}
	}
	m.Type = strings.ToUpper(m.Type)
	set := m.Type != "" && m.Type != typeNone
	if old := strings.ToUpper(cfg.Type); old != "" && old != typeNone {
		if set {
			c.fail(at+"/saslMechanism", "stands beside mechanism; give one of them")
			return nil, at
		}
		if cfg.JAAS == "" {
			c.fail(at+"/saslJaasConfig", "is required with saslMechanism")
			return nil, at
		}
		return &Mechanism{Type: old, SASLJaasConfig: cfg.JAAS}, at
	}
	if cfg.JAAS != "" && m.SASLJaasConfig != cfg.JAAS {
		c.fail(at+"/saslMechanism", "is required with saslJaasConfig")
		return nil, at
	}
	if !set {
		for _, name := range m.given() {
			c.fail(from+"/"+name, "has no effect without a type")
		}
		return nil, ""
	}
	return m, from
}

// given are the settings that have a value.
func (m *Mechanism) given() []string {
	values := map[string]bool{
		"username": m.Username != "", "password": m.Password != "", "tokenUrl": m.TokenURL != "", "clientId": m.ClientID != "",
		"clientSecret": m.ClientSecret != "", "token": m.Token != "", "saslJaasConfig": m.SASLJaasConfig != "",
		"scopes": len(m.Scopes) > 0, "saslExtensions": len(m.SASLExtensions) > 0,
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(values)), func(name string) bool { return !values[name] })
}

// build makes the mechanism of settings found at a pointer.
func (c *checker) build(at string, m *Mechanism) sasl.Mechanism {
	fields, known := fieldsOf[m.Type]
	switch {
	case m.Type == typeDelegate:
		c.fail(at, "DELEGATE_TO_BROKER is not served in this version: it is for clients that speak Kafka")
		return nil
	case !known:
		c.fail(at, fmt.Sprintf("%q is not one of %s", m.Type, strings.Join(slices.Sorted(maps.Keys(fieldsOf)), ", ")))
		return nil
	}
	for _, name := range m.given() {
		if module := modules[m.Type]; name == "saslJaasConfig" && module != "" {
			continue
		}
		if !slices.Contains(fields, name) {
			c.fail(at+"/"+name, "is not a setting of "+m.Type)
		} else if m.SASLJaasConfig != "" {
			c.fail(at+"/"+name, "stands beside saslJaasConfig; give one of them")
		}
	}
	pointer := func(name string) string { return at + "/" + name }
	if m.SASLJaasConfig != "" {
		pointer = func(string) string { return at + "/saslJaasConfig" }
		if !c.fromJAAS(pointer(""), m) {
			return nil
		}
	}
	switch m.Type {
	case typePlain, typeSCRAM256, typeSCRAM512:
		return c.password(pointer, m)
	case typeAWS:
		return awsMechanism(m.profile)
	case typeGSSAPI:
		return c.kerberosMechanism(pointer, m)
	}
	return c.bearer(pointer, m)
}

func (c *checker) required(pointer func(string) string, name, value string) {
	if value == "" {
		c.fail(pointer(name), name+" is required")
	}
}

func (c *checker) password(pointer func(string) string, m *Mechanism) sasl.Mechanism {
	c.required(pointer, "username", m.Username)
	c.required(pointer, "password", m.Password)
	if strings.ContainsRune(m.Username+m.Password, 0) {
		c.fail(pointer("username"), "username and password must not hold a zero byte")
	}
	auth := scram.Auth{User: m.Username, Pass: m.Password, IsToken: m.delegated}
	switch m.Type {
	case typeSCRAM256:
		return auth.AsSha256Mechanism()
	case typeSCRAM512:
		return auth.AsSha512Mechanism()
	}
	return plain.Auth{User: m.Username, Pass: m.Password}.AsMechanism()
}

// Grammar of OAUTHBEARER (RFC 6750 section 2.1, RFC 7628 section 3.1).
var (
	bearerToken    = regexp.MustCompile(`^[-A-Za-z0-9._~+/]+=*$`)
	extensionKey   = regexp.MustCompile(`^[A-Za-z]+$`)
	extensionValue = regexp.MustCompile(`^[\x21-\x7E \t\r\n]+$`)
)

func (c *checker) bearer(pointer func(string) string, m *Mechanism) sasl.Mechanism {
	extensions := map[string]string{}
	for i, e := range m.SASLExtensions {
		at := pointer("saslExtensions/" + strconv.Itoa(i))
		switch {
		case !extensionKey.MatchString(e.Key) || strings.EqualFold(e.Key, "auth"):
			c.fail(at, "the key of a SASL extension is letters, and not auth")
		case !extensionValue.MatchString(e.Value):
			c.fail(at, "the value of a SASL extension is printable ASCII, and not empty")
		}
		extensions[e.Key] = e.Value
	}
	if m.Type == typeToken || m.Token != "" {
		c.required(pointer, "token", m.Token)
		if m.Token != "" && !bearerToken.MatchString(m.Token) {
			c.fail(pointer("token"), "is not a bearer token")
		}
		return oauth.Auth{Token: m.Token, Extensions: extensions}.AsMechanism()
	}
	c.required(pointer, "clientId", m.ClientID)
	c.required(pointer, "clientSecret", m.ClientSecret)
	c.required(pointer, "tokenUrl", m.TokenURL)
	if m.TokenURL != "" && !isTokenURL(m.TokenURL) {
		c.fail(pointer("tokenUrl"), "is not an http or https address without user and fragment")
	}
	m.scopes = c.scopes(pointer("scopes"), m.Scopes)
	tokens := newTokens(m)
	return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, err := tokens.get(ctx)
		return oauth.Auth{Token: token, Extensions: extensions}, err
	})
}

// scopes takes a list or text, and returns them with spaces between.
func (c *checker) scopes(at string, raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	var list []string
	var text string
	if json.Unmarshal(raw, &text) == nil {
		list = strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	} else if json.Unmarshal(raw, &list) != nil {
		c.fail(at, "must be a list of texts, or text")
	}
	return strings.Join(list, " ")
}

// fromJAAS moves a login module's options to where the object form has them.
func (c *checker) fromJAAS(at string, m *Mechanism) bool {
	module, err := parseJAAS(m.SASLJaasConfig)
	if err != nil {
		c.fail(at, err.Error())
		return false
	}
	if want := modules[m.Type]; module.class != want {
		c.fail(at, m.Type+" needs the login module "+want)
		return false
	}
	text := map[string]*string{}
	flags := map[string]bool{} // options that are true or false
	switch m.Type {
	case typePlain:
		text = map[string]*string{"username": &m.Username, "password": &m.Password}
	case typeSCRAM256, typeSCRAM512:
		text = map[string]*string{"username": &m.Username, "password": &m.Password}
		flags["tokenauth"] = false
	case typeBearer:
		return c.bearerJAAS(at, m, module)
	case typeAWS:
		text["awsProfileName"] = &m.profile
		for name := range module.options {
			if strings.HasPrefix(name, "awsRole") || name == "awsStsRegion" {
				c.fail(at, "assuming a role is not served in this version; give the worker credentials in its environment or a profile")
				return false
			}
		}
	case typeGSSAPI:
		k := &m.kerberos
		text = map[string]*string{"keyTab": &k.keytab, "principal": &k.principal, "serviceName": &k.service}
		flags = map[string]bool{"useKeyTab": false, "storeKey": false, "doNotPrompt": false, "useTicketCache": false,
			"refreshKrb5Config": false, "isInitiator": false}
	}
	return c.options(at, m, module, text, flags)
}

func (c *checker) options(at string, m *Mechanism, module loginModule, text map[string]*string, flags map[string]bool) bool {
	before := len(c.problems)
	for name, value := range module.options {
		into, isText := text[name]
		_, isFlag := flags[name]
		on, err := strconv.ParseBool(value)
		switch {
		case isText:
			*into = value
		case isFlag && err == nil:
			flags[name] = on
		case isFlag:
			c.fail(at, name+" must be true or false")
		default: // which may be a piece of a password, so it is not told
			known := append(slices.Collect(maps.Keys(text)), slices.Collect(maps.Keys(flags))...)
			slices.Sort(known)
			c.fail(at, "holds an option that is not served; served are: "+strings.Join(known, ", "))
		}
	}
	m.delegated = flags["tokenauth"]
	if m.Type == typeGSSAPI && (!flags["useKeyTab"] || flags["useTicketCache"]) {
		c.fail(at, "only key tabs are served in this version: write useKeyTab=true and keyTab, and no useTicketCache")
	}
	return len(c.problems) == before
}

// bearerJAAS takes a static token and extensions. What the Java client fetches tokens with lies outside the JAAS text.
func (c *checker) bearerJAAS(at string, m *Mechanism, module loginModule) bool {
	for _, name := range slices.Sorted(maps.Keys(module.options)) {
		value := module.options[name]
		key, isExtension := strings.CutPrefix(name, "extension_")
		switch {
		case name == "access_token":
			m.Token = value
		case isExtension:
			m.SASLExtensions = append(m.SASLExtensions, Extension{key, value})
		default:
			c.fail(at, "holds an option that is not served; served are: access_token, extension_NAME. "+
				"To fetch tokens, write mechanism{type, tokenUrl, clientId, clientSecret}")
			return false
		}
	}
	if m.Token == "" {
		c.fail(at, "access_token is required")
		return false
	}
	return true
}
