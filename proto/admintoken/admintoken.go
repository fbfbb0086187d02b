// Package admintoken tells whether an HTTP request carries the admin token of a node: the one check that the management
// API and the technical APIs share. It starts no goroutine.
package admintoken

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// User is the name that goes with the token in basic authentication (spec 10.1 services.core.http).
const User = "admin"

// challenge is what a client that is not let in may try: browsers ask for a password, others know what to send.
const challenge = `Basic realm="sluice"`

// Token is the admin token of a node, of which only a digest is kept. Its methods may be called from many goroutines.
type Token struct{ hash [sha256.Size]byte }

// New returns the check for a token, which must not be empty: an empty one would be one that everybody knows.
func New(token string) Token { return Token{sha256.Sum256([]byte(token))} }

// Allows tells whether the request carries the token: as a bearer token, or as the password of User. It compares digests, so
// that the time tells nothing of the token, its length included.
func (t Token) Allows(r *http.Request) bool {
	name, given, basic := r.BasicAuth()
	if !basic {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 section 11.1: schemes are compared without case
			return false
		}
		name, given = User, token
	}
	hash := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(hash[:], t.hash[:])&subtle.ConstantTimeCompare([]byte(name), []byte(User)) == 1
}

// Protect lets only those through to next who have the token; the others are answered with 401.
func (t Token) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !t.Allows(r) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("Unauthorized")) // a client that left cannot be told
			return
		}
		next.ServeHTTP(w, r)
	})
}
