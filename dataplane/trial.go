package dataplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/proto/apidef"
	"github.com/sluice-gateway/sluice/proto/management"
	"github.com/sluice-gateway/sluice/qos/message"
)

// Bounds of a trial: how many messages it takes, and how many it reads where nobody says.
const (
	mostTried    = 1000
	defaultTried = 100
)

// Try runs the flows of a draft on messages (management.Trial). Nothing is committed and no side effect leaves. The error is
// apidef.Problems where the draft cannot be served as it is written.
func Try(ctx context.Context, cfg flow.Config, api *apidef.API, t management.Trial) (*management.TrialReport, error) {
	publish, err := checkTrial(&t)
	if err != nil {
		return nil, err
	}
	trial, err := flow.NewTrial(ctx, cfg, flow.Deployment{ID: api.ID, API: api}, flow.TrialOptions{Entrypoint: t.Entrypoint, Publish: publish,
		Path: t.Path, Plan: t.Plan, Headers: t.Headers, Query: t.Query, Metadata: t.Metadata})
	if err != nil {
		return nil, err
	}
	defer trial.Close()
	messages := make([]message.Message, 0, len(t.Messages))
	for i := range t.Messages {
		messages = append(messages, toMessage(&t.Messages[i]))
	}
	if t.FromTopic != "" {
		if messages, err = trial.Last(ctx, t.FromTopic, t.Last); err != nil {
			return nil, fmt.Errorf("read the last messages of topic %q: %w", t.FromTopic, err)
		}
	}
	report := &management.TrialReport{Before: trial.Before, Ended: trial.Ended, Messages: []management.TrialResult{}}
	if report.Before == nil {
		report.Before = []management.TrialStep{}
	}
	if report.Ended != "" {
		return report, nil
	}
	for _, m := range messages {
		if err := ctx.Err(); err != nil {
			return report, context.Cause(ctx)
		}
		r := trial.Run(ctx, m)
		report.Messages = append(report.Messages, fromResult(&r))
		if r.Result == management.TrialEnded || r.Result == management.TrialFailed && !publish {
			report.Ended = "the stream ends with this message: " + r.Reason
			break
		}
	}
	return report, nil
}

// What is wrong with a request for a trial.
var (
	errTrialBoth = errors.New("give messages or a topic to read them from, not both")
	errTrialNone = errors.New("give messages, or a topic to read them from")
)

func checkTrial(t *management.Trial) (publish bool, err error) {
	switch strings.ToLower(t.Phase) {
	case "", "subscribe":
	case "publish":
		publish = true
	default:
		return false, fmt.Errorf("phase %q: choose subscribe or publish", t.Phase)
	}
	if t.Last == 0 {
		t.Last = defaultTried
	}
	switch {
	case len(t.Messages) > 0 && t.FromTopic != "":
		return false, errTrialBoth
	case len(t.Messages) == 0 && t.FromTopic == "":
		return false, errTrialNone
	case len(t.Messages) > mostTried, t.Last < 0, t.Last > mostTried:
		return false, fmt.Errorf("a trial takes at most %d messages", mostTried)
	}
	return publish, nil
}

func toMessage(in *management.TrialMessage) message.Message {
	m := message.Message{Kind: message.Data, Topic: in.Topic, Partition: in.Partition, Offset: in.Offset, Timestamp: in.Timestamp, Content: in.ContentBase64}
	if in.Content != nil {
		m.Content = []byte(*in.Content)
	}
	if in.Key != nil {
		m.Key = []byte(*in.Key)
	}
	for name, values := range in.Headers {
		for _, v := range values {
			m.Headers = append(m.Headers, message.Header{Name: name, Value: []byte(v)})
		}
	}
	return m
}

func fromMessage(m *message.Message) management.TrialMessage {
	out := management.TrialMessage{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp}
	if m.Key != nil {
		key := string(m.Key)
		out.Key = &key
	}
	switch {
	case m.Content == nil:
	case utf8.Valid(m.Content):
		text := string(m.Content)
		out.Content = &text
	default:
		out.ContentBase64 = m.Content
	}
	for _, h := range m.Headers {
		if out.Headers == nil {
			out.Headers = map[string][]string{}
		}
		out.Headers[h.Name] = append(out.Headers[h.Name], string(h.Value))
	}
	return out
}

func fromResult(r *flow.TrialResult) management.TrialResult {
	out := management.TrialResult{In: fromMessage(&r.In), Result: r.Result, Reason: r.Reason, Steps: r.Steps}
	if out.Steps == nil {
		out.Steps = []management.TrialStep{}
	}
	if r.Result == management.TrialPassed || r.Result == management.TrialChanged {
		after := fromMessage(&r.Out)
		out.Out = &after
	}
	if r.Allocs >= 0 {
		ns, allocs := r.Took.Nanoseconds(), r.Allocs
		out.NS, out.Allocs = &ns, &allocs
	}
	return out
}
