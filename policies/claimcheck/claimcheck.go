// Package claimcheck is the policy "claim-check", an addition of Sluice: large contents are kept in a store, and messages carry a
// reference to them.
//
// On publish a content of more than threshold bytes is put into the store, and the message's content becomes the reference, a JSON
// object that names the object, its size and its SHA-256; the header Sluice-Claim-Check says so. On subscribe a message with that header
// gets its content back, once it is proved by size and digest, and loses the header. Other messages pass as they are.
//
// The object's name is the digest of the content, below the API's id: the same content is stored once, and storing it again is harmless.
// A content is stored before its message is published, so no reference points to nothing; a message that is refused afterwards leaves
// its object behind. Nothing is removed on subscribe, since others may still come for it: objects are removed by age. Of a directory the policy does that
// itself, with expireAfterHours; of a bucket its lifecycle rules do. Choose more than the topic's retention.
//
// Failures: 503 CLAIM_CHECK_STORE_FAILURE where the store cannot be asked, 500 CLAIM_CHECK_MISSING where it has no such object, 500
// CLAIM_CHECK_CORRUPT where what it has is not what was stored, or a reference is none, and 413 CLAIM_CHECK_TOO_LARGE for more than
// maxSize bytes. References to other APIs' objects are corrupt: a publisher who writes one himself reaches nothing else.
//
// The store is a directory that all workers share (type FILE), or a bucket of a server that speaks S3 (type S3).
package claimcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/policies/callout"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/settings"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Config is the configuration of claim-check.
type Config struct {
	// Threshold is the content that stays in the message, in bytes: up to 67108864. Default 524288.
	Threshold int `json:"threshold"`
	// MaxSize bounds contents, in bytes: up to 1073741824. Default 67108864.
	MaxSize int `json:"maxSize"`
	// Store is where contents are kept. Required.
	Store Store `json:"store"`
}

// Store is where contents are kept.
type Store struct {
	// Type is FILE or S3. Required.
	Type string `json:"type"`
	// Directory of the worker, for FILE. Required there; it must exist.
	Directory string `json:"directory"`
	// ExpireAfterHours removes objects that were last stored so long ago, for FILE: 1 to 87600; 0: never. Default 0.
	ExpireAfterHours int `json:"expireAfterHours"`
	// Endpoint is the server, for S3, e.g. https://s3.example.org. Required there.
	Endpoint string `json:"endpoint"`
	// Bucket that the objects are in. Required for S3; it must exist.
	Bucket string `json:"bucket"`
	// Prefix of the objects' names. Default: none.
	Prefix string `json:"prefix"`
	// Region of the bucket. Default us-east-1.
	Region string `json:"region"`
	// AccessKey and SecretKey are shown to the server. Default: none, for buckets that anybody may use.
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
	// SessionToken goes with them. Default: none.
	SessionToken string `json:"sessionToken"`
	// PathStyle names the bucket in the path, not in the host. Default true.
	PathStyle bool `json:"pathStyle"`

	callout.Config
}

// Type is the catalog entry.
var Type = policies.Type{
	ID:      "claim-check",
	Name:    "Claim Check",
	Phases:  policies.Publish | policies.Subscribe,
	Config:  defaults(),
	Compile: compile,
}

func defaults() *Config {
	return &Config{Threshold: 512 << 10, MaxSize: 64 << 20, Store: Store{Region: "us-east-1", PathStyle: true, Config: callout.Defaults()}}
}

// store keeps objects by name.
type store interface {
	// put keeps content, whole or not at all. One that is there already is the same.
	put(ctx context.Context, name string, content []byte) error
	// get returns an object of exactly size bytes; errMissing: there is none.
	get(ctx context.Context, name string, size int) ([]byte, error)
	io.Closer
}

type policy struct {
	log       *slog.Logger
	store     store
	below     string // what all names of objects begin with
	threshold int
	most      int
	restores  bool // subscribe
}

func compile(cfg json.RawMessage, env policies.Env) (any, apidef.Problems) {
	c := defaults()
	problems := settings.Decode(cfg, c)
	fail := func(pointer, text string) { problems = append(problems, settings.Invalid(pointer, text)) }
	const mostThreshold, mostSize, mostHours = 64 << 20, 1 << 30, 87600
	if c.Threshold < 0 || c.Threshold > mostThreshold {
		fail("/threshold", fmt.Sprintf("must be between 0 and %d bytes", mostThreshold))
	}
	if c.MaxSize < 1 || c.MaxSize > mostSize {
		fail("/maxSize", fmt.Sprintf("must be between 1 and %d bytes", mostSize))
	}
	p := &policy{log: env.Log, threshold: c.Threshold, most: c.MaxSize, restores: env.Phase == policies.Subscribe}
	s := &c.Store
	var api string
	if env.API != nil {
		api = env.API.ID
	}
	switch strings.ToUpper(s.Type) {
	case "FILE":
		if s.Directory == "" {
			fail("/store/directory", "is required: a directory that all workers share")
		}
		if s.ExpireAfterHours < 0 || s.ExpireAfterHours > mostHours {
			fail("/store/expireAfterHours", fmt.Sprintf("must be between 0 and %d", mostHours))
		}
		p.store, p.below = newDirectory(s.Directory, time.Duration(s.ExpireAfterHours)*time.Hour, env.Log), apiFolder(api)
	case "S3":
		if s.ExpireAfterHours != 0 {
			fail("/store/expireAfterHours", "is for FILE; a bucket's lifecycle rules remove its objects")
		}
		p.below = strings.Trim(s.Prefix, "/")
		if p.below != "" {
			p.below += "/"
		}
		p.below += apiFolder(api)
		made, more := newBucket(s, env)
		p.store, problems = made, append(problems, more...)
	default:
		fail("/store/type", "must be FILE or S3")
	}
	if problems.Err() != nil {
		return nil, problems
	}
	return p, problems
}

// Close implements io.Closer.
func (p *policy) Close() error { return p.store.Close() }

// Traits implements policies.Traited. The store is waited for.
func (p *policy) Traits() policies.Traits { return policies.Traits{Blocks: true} }

// mark is the header of messages whose content is a reference.
const mark = "Sluice-Claim-Check"

// OnMessage implements policies.MessagePolicy.
func (p *policy) OnMessage(ctx context.Context, c *policies.Context, m *message.Message) error {
	var err error
	if p.restores {
		err = p.restore(ctx, m)
	} else {
		err = p.check(ctx, m)
	}
	if err == nil {
		c.Changed()
	}
	return err
}

// check puts a large content into the store.
func (p *policy) check(ctx context.Context, m *message.Message) error {
	if _, marked := m.Header(mark); marked {
		return failure(fasthttp.StatusBadRequest, "CLAIM_CHECK_CORRUPT", "The header "+mark+" is set by the gateway alone", nil)
	}
	if len(m.Content) <= p.threshold {
		return nil
	}
	if len(m.Content) > p.most {
		return failure(fasthttp.StatusRequestEntityTooLarge, "CLAIM_CHECK_TOO_LARGE", fmt.Sprintf("The content is larger than %d bytes", p.most), nil)
	}
	r := referenceTo(m.Content)
	if t := policies.TrialOf(ctx); t != nil {
		t.Note(fmt.Sprintf("store %d bytes as %s", len(m.Content), p.below+r.Name()))
	} else if err := p.store.put(ctx, p.below+r.Name(), m.Content); err != nil {
		return unavailable(err)
	}
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	headers := make([]message.Header, len(m.Headers), len(m.Headers)+1)
	copy(headers, m.Headers)
	m.Headers = append(headers, message.Header{Name: mark, Value: []byte("1")})
	m.Content = content
	return nil
}

// restore gets a content back.
func (p *policy) restore(ctx context.Context, m *message.Message) error {
	if _, marked := m.Header(mark); !marked {
		return nil
	}
	r, err := readReference(m.Content)
	if err != nil {
		return corrupt(err)
	}
	if r.Size > p.most {
		return failure(fasthttp.StatusRequestEntityTooLarge, "CLAIM_CHECK_TOO_LARGE", fmt.Sprintf("The content is larger than %d bytes", p.most), nil)
	}
	content, err := p.store.get(ctx, p.below+r.Name(), r.Size)
	switch {
	case err == errMissing:
		return failure(fasthttp.StatusInternalServerError, "CLAIM_CHECK_MISSING", "The content of the message is not in the store any more", fmt.Errorf("no object %s", p.below+r.Name()))
	case err == errSize:
		return corrupt(err)
	case err != nil:
		return unavailable(err)
	}
	if err := r.verify(content); err != nil {
		return corrupt(err)
	}
	headers := make([]message.Header, 0, len(m.Headers))
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Name, mark) {
			headers = append(headers, h)
		}
	}
	m.Headers, m.Content = headers, content
	return nil
}

func failure(status int, key, text string, err error) error {
	return &message.Failure{Status: status, Key: key, Message: text, Err: err}
}

func corrupt(err error) error {
	return failure(fasthttp.StatusInternalServerError, "CLAIM_CHECK_CORRUPT", "The content of the message cannot be restored", err)
}

func unavailable(err error) error {
	return failure(fasthttp.StatusServiceUnavailable, "CLAIM_CHECK_STORE_FAILURE", "The store of large messages is not available", err)
}

var (
	_ policies.MessagePolicy = (*policy)(nil)
	_ policies.Traited       = (*policy)(nil)
)
