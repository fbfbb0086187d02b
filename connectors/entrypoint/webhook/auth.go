package webhook

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Auth says who we are. The block of the chosen type counts.
type Auth struct {
	// Type: none (default), basic, token, oauth2, or jwtProfileOauth2.
	Type   string `json:"type"`
	Basic  Basic  `json:"basic"`
	Token  Token  `json:"token"`
	OAuth2 OAuth2 `json:"oauth2"`
	// JWTProfile is OAuth2 with a signed assertion for a secret (RFC 7523).
	JWTProfile JWTProfile `json:"jwtProfileOauth2"`
}

// Basic is RFC 7617.
type Basic struct {
	// Username is required.
	Username string `json:"username"`
	Password string `json:"password"`
}

// Token is sent as it is, as a bearer token.
type Token struct {
	// Value is required.
	Value string `json:"value"`
}

// authorizer gives the value of Authorization.
type authorizer interface {
	// authorization is called before each call, by many goroutines. An error is a *tokenFailure.
	authorization(ctx context.Context, ask tokenCaller) (string, error)
	// rejected says that the receiver answered a value with 401, and tells whether another can be had.
	rejected(ctx context.Context, value string) bool
}

// fixed is a value that never changes.
type fixed string

func (f fixed) authorization(context.Context, tokenCaller) (string, error) { return string(f), nil }
func (f fixed) rejected(context.Context, string) bool                      { return false }

func (k *checker) auth(at string, c *Auth) authorizer {
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(c.Type)) {
	case "", "none":
		return nil
	case "basic":
		if c.Basic.Username == "" || strings.Contains(c.Basic.Username, ":") {
			k.fail(at+"/basic/username", "is required, without a colon")
		}
		return fixed("Basic " + base64.StdEncoding.EncodeToString([]byte(c.Basic.Username+":"+c.Basic.Password)))
	case "token":
		if c.Token.Value == "" || !httpguts.ValidHeaderFieldValue(c.Token.Value) {
			k.fail(at+"/token/value", "is required, without line breaks")
		}
		return fixed("Bearer " + c.Token.Value)
	case "oauth2":
		return k.oauth2(at+"/oauth2", &c.OAuth2)
	case "jwtprofileoauth2", "jwtprofile":
		return k.jwtProfile(at+"/jwtProfileOauth2", &c.JWTProfile)
	}
	k.fail(at+"/type", fmt.Sprintf("%q is not one of none, basic, token, oauth2, jwtProfileOauth2", c.Type))
	return nil
}
