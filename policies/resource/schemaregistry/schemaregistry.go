// Package schemaregistry is the resource type "confluent-schema-registry" (policies.md 11.5): a registry of Avro, JSON and Protobuf
// schemas that speaks Confluent's REST API, as Karapace and Apicurio do.
//
// What is found is kept: a schema with an id or a version never changes. The latest version of a subject is kept for 10 s. What is not
// found and errors are never kept, so a registry that comes back is used at once. A cache has at most 1,000 schemas and 32 MiB of text;
// what is over that makes it begin anew. An answer has at most 4 MiB, a call 5 s, and a schema 100 others that it refers to.
//
// It starts no goroutine of its own; connections that are not in use are closed with it.
package schemaregistry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/sluice-gateway/sluice/policies/resource"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
)

// Config is the configuration of a schema registry.
type Config struct {
	// URL is the address of the registry, http or https. Several are separated by commas: where one cannot be reached, the next is asked.
	// Required. RegistryURL is another name of it.
	URL         string `json:"url"`
	RegistryURL string `json:"registryUrl"`
	// Authentication is how the registry knows who asks. Default: it does not.
	Authentication Authentication `json:"authentication"`
	// SSL are the settings of https.
	SSL SSL `json:"ssl"`
}

// Authentication is how the registry knows who asks.
type Authentication struct {
	// Type is none or basic. Default none, and basic where Basic has a user name.
	Type string `json:"type"`
	// Basic is a user name and a password.
	Basic Basic `json:"basic"`
}

// Basic is a user name and a password.
type Basic struct {
	// Username is the user's name.
	Username string `json:"username"`
	// Password is the user's password.
	Password string `json:"password"`
}

// SSL are the settings of https.
type SSL struct {
	// HostnameVerifier checks that the certificate is of the host. Default true.
	HostnameVerifier bool `json:"hostnameVerifier"`
	// TrustAll takes any certificate. Default false.
	TrustAll bool `json:"trustAll"`
	// TrustStore are the certificates that are trusted. Default: those of the machine.
	TrustStore Store `json:"trustStore"`
	// KeyStore is the certificate that is shown to the registry, with its key. Default: none.
	KeyStore Store `json:"keyStore"`
}

// Store are certificates.
type Store struct {
	// Type is NONE or PEM. Default NONE, and PEM where there is content.
	Type string `json:"type"`
	// Content are the certificates in PEM; of a key store, with the key.
	Content string `json:"content"`
}

// Type is the catalog entry.
var Type = resource.Type{
	ID:      "confluent-schema-registry",
	Aliases: []string{"schema-registry"},
	Name:    "Confluent Schema Registry",
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config { return &Config{SSL: SSL{HostnameVerifier: true}} }

// Limits.
const (
	callTime      = 5 * time.Second
	latestLife    = 10 * time.Second
	maxAnswer     = 4 << 20  // bytes of an answer of the registry
	maxKept       = 1000     // schemas
	maxKeptBytes  = 32 << 20 // of their texts
	maxReferences = 100      // of one schema, with those of its references
)

func compile(cfg json.RawMessage, env resource.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	at, address := "/url", c.URL
	if address == "" && c.RegistryURL != "" {
		at, address = "/registryUrl", c.RegistryURL
	}
	var urls []string
	for u := range strings.SplitSeq(address, ",") {
		parsed, err := url.Parse(strings.TrimSpace(u))
		if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			problems = append(problems, settings.Invalid(at, fmt.Sprintf("is required: the address of the registry, such as http://registry:8081; %q is none", u)))
			return nil, problems
		}
		urls = append(urls, strings.TrimSpace(u))
	}
	transport := &http.Transport{DialContext: env.Dial, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: callTime}
	transport.TLSClientConfig = c.SSL.config(&problems)
	options := []sr.ClientOpt{sr.URLs(urls...), sr.UserAgent("sluice"), sr.HTTPClient(&http.Client{Timeout: callTime, Transport: bounded{transport}})}
	switch kind := strings.ToLower(c.Authentication.Type); {
	case kind == "basic" || kind == "" && c.Authentication.Basic.Username != "":
		options = append(options, sr.BasicAuth(c.Authentication.Basic.Username, c.Authentication.Basic.Password))
	case kind != "" && kind != "none":
		problems = append(problems, settings.Invalid("/authentication/type", "must be none or basic"))
	}
	client, err := sr.NewClient(options...)
	if err != nil {
		return nil, append(problems, settings.Invalid("", err.Error()))
	}
	return &registry{client: client, transport: transport}, problems
}

// bounded refuses answers that are too large.
type bounded struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err == nil {
		answer.Body = &limited{ReadCloser: answer.Body, left: maxAnswer}
	}
	return answer, err
}

type limited struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, fmt.Errorf("the registry's answer has more than %d bytes", maxAnswer)
	}
	return n, err
}

// key names a schema that is kept: by its id, by subject and version, or by subject and text.
type key struct {
	id      int
	subject string
	version int
	text    string
}

type entry struct {
	schema *resource.Schema
	until  time.Time // zero: for ever
}

// registry asks a registry, and keeps what it answers.
type registry struct {
	client    *sr.Client
	transport *http.Transport

	mu    sync.Mutex
	kept  map[key]entry // guarded by mu
	bytes int           // of the texts of kept, guarded by mu
}

// Close closes what is not in use.
func (r *registry) Close() error {
	r.transport.CloseIdleConnections()
	return nil
}

// ByID implements resource.SchemaRegistry.
func (r *registry) ByID(ctx context.Context, id int) (*resource.Schema, error) {
	return r.get(key{id: id}, 0, func() (*resource.Schema, error) {
		s, err := r.client.SchemaByID(ctx, id)
		if err != nil {
			return nil, told(err, "the schema with id %d", id)
		}
		return r.resolve(ctx, sr.SubjectSchema{ID: id, Schema: s})
	})
}

// BySubject implements resource.SchemaRegistry.
func (r *registry) BySubject(ctx context.Context, subject string, version int) (*resource.Schema, error) {
	life, asked := time.Duration(0), version
	if version == 0 {
		life, asked = latestLife, -1 // as the client names the latest
	}
	return r.get(key{subject: subject, version: version}, life, func() (*resource.Schema, error) {
		s, err := r.client.SchemaByVersion(ctx, subject, asked)
		if err != nil {
			return nil, told(err, "version %d of the subject %q (0 is the latest)", version, subject)
		}
		return r.resolve(ctx, s)
	})
}

// Find implements resource.SchemaRegistry.
func (r *registry) Find(ctx context.Context, subject, kind, text string) (*resource.Schema, error) {
	return r.get(key{subject: subject, text: kind + " " + text}, 0, func() (*resource.Schema, error) {
		s, err := r.client.LookupSchema(ctx, subject, sr.Schema{Schema: text, Type: kinds[kind]})
		if err != nil {
			return nil, told(err, "the schema in the subject %q", subject)
		}
		return r.resolve(ctx, s)
	})
}

// get returns what is kept, or asks for it.
func (r *registry) get(k key, life time.Duration, ask func() (*resource.Schema, error)) (*resource.Schema, error) {
	r.mu.Lock()
	e, ok := r.kept[k]
	r.mu.Unlock()
	if ok && (e.until.IsZero() || time.Now().Before(e.until)) {
		return e.schema, nil
	}
	s, err := ask()
	if err != nil {
		return nil, err
	}
	e = entry{schema: s}
	if life > 0 {
		e.until = time.Now().Add(life)
	}
	r.keep(k, e)
	return s, nil
}

func (r *registry) keep(k key, e entry) {
	size := len(k.text) + len(e.schema.Text)
	for i := range e.schema.References {
		size += len(e.schema.References[i].Text)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil || len(r.kept) >= maxKept || r.bytes+size > maxKeptBytes {
		r.kept, r.bytes = make(map[key]entry), 0
	}
	r.kept[k] = e
	r.bytes += size
}

var kinds = map[string]sr.SchemaType{resource.Avro: sr.TypeAvro, resource.JSON: sr.TypeJSON, resource.Protobuf: sr.TypeProtobuf}

// resolve makes a schema with all that it refers to.
func (r *registry) resolve(ctx context.Context, s sr.SubjectSchema) (*resource.Schema, error) {
	out := &resource.Schema{ID: s.ID, Subject: s.Subject, Version: s.Version, Kind: s.Type.String(), Text: s.Schema.Schema}
	seen := map[string]bool{}
	var follow func(refs []sr.SchemaReference) error
	follow = func(refs []sr.SchemaReference) error {
		for _, ref := range refs {
			if seen[ref.Name] {
				continue
			}
			if seen[ref.Name] = true; len(seen) > maxReferences {
				return fmt.Errorf("the schema refers to more than %d others", maxReferences)
			}
			s, err := r.client.SchemaByVersion(ctx, ref.Subject, ref.Version)
			if err != nil {
				return told(err, "the reference %q, version %d of the subject %q,", ref.Name, ref.Version, ref.Subject)
			}
			if err := follow(s.References); err != nil {
				return err
			}
			out.References = append(out.References, resource.Reference{Name: ref.Name, Schema: resource.Schema{ID: s.ID, Subject: s.Subject,
				Version: s.Version, Kind: s.Type.String(), Text: s.Schema.Schema}})
		}
		return nil
	}
	return out, follow(s.References)
}

// told says what was asked for, and whether the registry does not know it.
func told(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if e := (*sr.ResponseError)(nil); errors.As(err, &e) && e.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%s is %w to the schema registry", what, resource.ErrUnknown)
	}
	return fmt.Errorf("ask the schema registry for %s: %w", what, err)
}

var _ resource.SchemaRegistry = (*registry)(nil)
