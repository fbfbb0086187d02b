// Package body is what policies that make another body of a body have in common: where the body of a request, an answer or a
// message is, how it is replaced together with the headers that describe it, and in which cases nothing is done. A policy gives
// it the work itself. It starts no goroutine.
package body

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/policies"
	"github.com/sluice-gateway/sluice/qos/message"
)

// MaxResult bounds what a policy makes of one body, in bytes.
const MaxResult = 16 << 20

// Input is what is worked on.
type Input struct {
	// Content is shared and must not be changed.
	Content []byte
	// ContentType is the header of that name; empty: there is none.
	ContentType string
	// Message is the message, which the work may change as OnMessage may; nil in the request and response phases.
	Message *message.Message
}

// Policy is a policy that replaces bodies. It implements the contracts of the phases request, response, publish and subscribe.
type Policy struct {
	// Work makes the new body, which nobody changes afterwards. ok false: the old one stays, with its headers.
	Work func(ctx context.Context, c *policies.Context, in Input) (out []byte, ok bool, err error)
	// Fail makes the failure of an error of Work.
	Fail func(err error) error
	// ContentType is what the new body is; empty: the header stays.
	ContentType string
	// Length says that messages get a Content-Length as well, where the reference gives them one. Bodies always have it right.
	Length bool
	// Empty says that there is work where the body is empty, too.
	Empty bool
	// Does are the traits of the work on messages.
	Does policies.Traits
}

// Traits implements policies.Traited.
func (p *Policy) Traits() policies.Traits { return p.Does }

// OnRequest implements policies.RequestPolicy.
func (p *Policy) OnRequest(ctx context.Context, c *policies.Context) error {
	r := &c.Exchange.HTTP.Request
	out, ok, err := p.do(ctx, c, Input{Content: r.Body(), ContentType: string(r.Header.ContentType())})
	if err != nil || !ok {
		return err
	}
	r.SetBodyRaw(out)
	r.Header.SetContentLength(len(out))
	if p.ContentType != "" {
		r.Header.SetContentType(p.ContentType)
	}
	c.Changed()
	return nil
}

// OnResponse implements policies.ResponsePolicy. A stream has no body: its messages are what follows.
func (p *Policy) OnResponse(ctx context.Context, c *policies.Context) error {
	if c.Streaming {
		return nil
	}
	r := &c.Exchange.HTTP.Response
	out, ok, err := p.do(ctx, c, Input{Content: r.Body(), ContentType: string(r.Header.ContentType())})
	if err != nil || !ok {
		return err
	}
	r.SetBodyRaw(out)
	r.Header.SetContentLength(len(out))
	if p.ContentType != "" {
		r.Header.SetContentType(p.ContentType)
	}
	c.Changed()
	return nil
}

// OnMessage implements policies.MessagePolicy.
func (p *Policy) OnMessage(ctx context.Context, c *policies.Context, m *message.Message) error {
	contentType, _ := m.Header("Content-Type")
	out, ok, err := p.do(ctx, c, Input{Content: m.Content, ContentType: string(contentType), Message: m})
	if err != nil || !ok {
		return err
	}
	m.Content = out
	p.describe(m)
	c.Changed()
	return nil
}

func (p *Policy) do(ctx context.Context, c *policies.Context, in Input) ([]byte, bool, error) {
	if len(in.Content) == 0 && !p.Empty {
		return nil, false, nil
	}
	out, ok, err := p.Work(ctx, c, in)
	if errors.Is(err, io.EOF) {
		// Content that ends early. To a stream io.EOF says that there is nothing more, and the failure would go unseen.
		err = errors.New("the content ends early: " + err.Error())
	}
	if err != nil {
		return nil, false, p.Fail(err)
	}
	return out, ok, nil
}

// describe sets the headers that tell of the new content. They are copied, since others may share them.
func (p *Policy) describe(m *message.Message) {
	if p.ContentType == "" && !p.Length {
		return
	}
	out := make([]message.Header, 0, len(m.Headers)+2)
	for _, h := range m.Headers {
		if p.ContentType != "" && strings.EqualFold(h.Name, "Content-Type") || p.Length && strings.EqualFold(h.Name, "Content-Length") {
			continue
		}
		out = append(out, h)
	}
	if p.ContentType != "" {
		out = append(out, message.Header{Name: "Content-Type", Value: []byte(p.ContentType)})
	}
	if p.Length {
		out = append(out, message.Header{Name: "Content-Length", Value: strconv.AppendInt(nil, int64(len(m.Content)), 10)})
	}
	m.Headers = out
}

var (
	_ policies.RequestPolicy  = (*Policy)(nil)
	_ policies.ResponsePolicy = (*Policy)(nil)
	_ policies.MessagePolicy  = (*Policy)(nil)
	_ policies.Traited        = (*Policy)(nil)
)
