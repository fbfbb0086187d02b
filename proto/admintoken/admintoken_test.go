package admintoken_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-gateway/sluice/proto/admintoken"
)

func TestToken_Protects(t *testing.T) {
	t.Parallel()
	handler := admintoken.New("secret").Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for _, c := range []struct {
		name, authorization string
		want                int
	}{
		{"nothing", "", 401},
		{"bearer", "Bearer secret", 204},
		{"bearer, written otherwise", "bearer secret", 204},
		{"bearer of nothing", "Bearer ", 401},
		{"a part of it", "Bearer secre", 401},
		{"more than it", "Bearer secrets", 401},
		{"the token alone", "secret", 401},
		{"another scheme", "Digest secret", 401},
		{"basic", "Basic YWRtaW46c2VjcmV0", 204},                  // admin:secret
		{"basic of somebody else", "Basic cm9vdDpzZWNyZXQ=", 401}, // root:secret
		{"basic, wrong", "Basic YWRtaW46d3Jvbmc=", 401},           // admin:wrong
		{"basic, malformed", "Basic !", 401},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", c.authorization)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.want || (w.Header().Get("WWW-Authenticate") != "") != (c.want == 401) {
			t.Errorf("%s: %d, %v", c.name, w.Code, w.Header())
		}
	}
}
