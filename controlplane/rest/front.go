package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/proto/management"
)

// prefix is where the management API is; everything under it is authenticated.
const prefix = "/management"

// mediaTypes are those a body may have. curl -d sends a form's, whatever the data is.
var mediaTypes = []string{
	"application/json", "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain",
	"application/octet-stream", "application/x-www-form-urlencoded", "application/merge-patch+json",
}

// Handler is the whole of the management port: this API under /management and Config.Other beside it.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		started := time.Now()
		defer func() { s.metrics.done(r.Context(), r, rec.status, time.Since(started)) }()
		defer s.rescue(rec, r)
		if r.URL.Path != prefix && !strings.HasPrefix(r.URL.Path, prefix+"/") {
			s.other(rec, r)
			return
		}
		actor, ok := s.token.who(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeProblem(rec, problem(http.StatusUnauthorized, management.CodeUnauthorized, "Unauthorized"))
			return
		}
		if whole, ok := s.withBody(rec, r, actor); ok {
			s.dispatch(rec, whole)
		}
	})
}

func (s *Server) other(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Other != nil {
		s.cfg.Other.ServeHTTP(w, r)
		return
	}
	writeProblem(w, notFound(r))
}

// rescue turns a panic into a 500 and counts it. It is the one place that does.
func (s *Server) rescue(w *recorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	s.metrics.panics.Add(r.Context(), 1)
	s.deps.Log.Error("panic in the management API", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if w.status == 0 {
		writeProblem(w, problem(http.StatusInternalServerError, management.CodeInternal, "Unexpected error; the server's log tells more"))
	}
}

// request is what the front knows of a request and handlers need.
type request struct {
	actor string
	body  []byte
	uri   string
}

type requestKey struct{}

func requestOf(ctx context.Context) request {
	r, _ := ctx.Value(requestKey{}).(request)
	return r
}

// withBody reads the body within its limit.
func (s *Server) withBody(w http.ResponseWriter, r *http.Request, actor string) (*http.Request, bool) {
	info := request{actor: actor, uri: r.URL.RequestURI()}
	if r.Body != nil && r.Body != http.NoBody {
		if ct := r.Header.Get("Content-Type"); ct != "" {
			media, _, err := mime.ParseMediaType(ct)
			if err != nil || !slices.Contains(mediaTypes, media) {
				writeProblem(w, problem(http.StatusUnsupportedMediaType, management.CodeMediaType,
					"Media type "+ct+" is not supported: send JSON or YAML, as application/json or application/yaml"))
				return nil, false
			}
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeProblem(w, problem(http.StatusRequestEntityTooLarge, management.CodeTooLarge, "The body is larger than 4 MiB"))
			return nil, false
		}
		if err != nil {
			writeProblem(w, problem(http.StatusBadRequest, management.CodeDataInvalid, "The body could not be read: the connection was cut or too slow"))
			return nil, false
		}
		info.body = body
	}
	r = r.Clone(context.WithValue(r.Context(), requestKey{}, info))
	r.Body = http.NoBody
	if len(r.URL.Path) > 1 { // seed examples end in a slash, others do not
		r.URL.Path = strings.TrimRight(r.URL.Path, "/")
		r.URL.RawPath = strings.TrimRight(r.URL.RawPath, "/")
	}
	return r, true
}

// dispatch finds the handler; the router's own answers to what it does not know get our error body.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	h, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	probe := &recorder{ResponseWriter: discard{http.Header{}}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		writeProblem(w, problem(http.StatusMethodNotAllowed, management.CodeMethodNotAllowed,
			r.Method+" is not possible here; choose one of: "+probe.Header().Get("Allow")))
		return
	}
	writeProblem(w, notFound(r))
}

func notFound(r *http.Request) *Problem {
	return problem(http.StatusNotFound, management.CodeNotFound, "There is nothing at "+r.URL.Path+"; "+prefix+"/openapi.json lists what there is")
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b) //nolint:wrapcheck // an http.ResponseWriter's own error
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// discard is a response that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// tokenCheck compares tokens in constant time, whatever their length.
type tokenCheck [sha256.Size]byte

func newTokenCheck(token string) tokenCheck { return sha256.Sum256([]byte(token)) }

// who reads the credentials of a request: a bearer token, or basic with any user and the token as the password.
func (t tokenCheck) who(r *http.Request) (actor string, ok bool) {
	actor = "admin"
	user, token, basic := r.BasicAuth()
	if !basic {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return "", false
		}
		token = strings.TrimSpace(rest)
	} else if user != "" {
		actor = user
	}
	sum := sha256.Sum256([]byte(token))
	return actor, subtle.ConstantTimeCompare(sum[:], t[:]) == 1
}
