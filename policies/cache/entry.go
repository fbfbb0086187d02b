package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/policies"
)

// maxBody bounds the bodies that are kept, in bytes.
const maxBody = 4 << 20

// entry is an answer as it is kept.
type entry struct {
	Status  int         `json:"status"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// connectionHeaders are those of one connection, which no other answer has.
var connectionHeaders = []string{"connection", "content-length", "date", "keep-alive", "transfer-encoding", "trailer", "upgrade"}

func entryOf(r *fasthttp.Response) *entry {
	e := &entry{Status: r.StatusCode(), Body: r.Body()}
	for name, value := range r.Header.All() {
		if !slices.Contains(connectionHeaders, strings.ToLower(string(name))) {
			e.Headers = append(e.Headers, [2]string{string(name), string(value)})
		}
	}
	return e
}

// restore makes the answer that was kept of r.
func (e *entry) restore(r *fasthttp.Response) {
	r.SetStatusCode(e.Status)
	r.Header.SetNoDefaultContentType(true)
	for _, h := range e.Headers {
		r.Header.Add(h[0], h[1])
	}
	r.SetBody(e.Body)
}

// separator stands between the parts of a key.
const separator = "_"

// keyOf is the key of the exchange's entry.
func (p *policy) keyOf(c *policies.Context) (string, error) {
	x := c.Exchange
	parts := []string{}
	if x.API != nil {
		parts = append(parts, x.API.ID)
	}
	if p.perApp && x.Application != "" {
		parts = append(parts, x.Application)
	}
	var query []string
	for name, value := range x.HTTP.QueryArgs().All() {
		query = append(query, strconv.Quote(string(name))+"="+strconv.Quote(string(value)))
	}
	slices.Sort(query)
	parts = append(parts, short(string(x.HTTP.Path())), short(strings.Join(query, "&")))
	if p.key != nil {
		own, err := p.key.Text(c)
		if err != nil {
			return "", err
		}
		parts = append(parts, own)
	}
	return strings.Join(parts, separator), nil
}

// short is a text as a part of a key: two that differ may not be alike, since clients choose them.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// lifeOf is how long an answer may be kept; 0: not at all.
func (p *policy) lifeOf(r *fasthttp.Response) time.Duration {
	if !p.headers {
		return p.life
	}
	life, shared := time.Duration(-1), false
	for directive := range strings.SplitSeq(string(r.Header.Peek(fasthttp.HeaderCacheControl)), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "private":
			return 0
		case "s-maxage", "max-age":
			n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err == nil && (name == "s-maxage" || !shared) {
				life, shared = time.Duration(n)*time.Second, name == "s-maxage"
			}
		}
	}
	if text := r.Header.Peek(fasthttp.HeaderExpires); life < 0 && len(text) > 0 {
		if at, err := fasthttp.ParseHTTPDate(text); err == nil {
			life = max(time.Until(at), 0)
		}
	}
	if life < 0 {
		return p.life
	}
	return min(life, p.life)
}
