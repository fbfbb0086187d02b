package httpfront

import (
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/qos/message"
)

// unknownOutcome is added to the text of a failed publish that the broker may have stored all the same.
const unknownOutcome = "; it is unknown whether the message was stored"

// internalText is what a client is told of an error that is not meant for clients (spec 2.9).
const internalText = "Internal Server Error"

// AsFailure returns what a client is told of err: the Failure in it, else 500 without details (spec 5.7).
func AsFailure(err error) *message.Failure {
	var f *message.Failure
	if errors.As(err, &f) {
		return f
	}
	return &message.Failure{Status: fasthttp.StatusInternalServerError, Message: internalText, Err: err}
}

// Stopping is what a client is told of an API that stops (spec 2.1).
func Stopping() *message.Failure {
	return &message.Failure{Status: fasthttp.StatusServiceUnavailable, Key: message.KeyGoAway, Message: message.StoppingText}
}

// FailureText is the text of f for clients.
func FailureText(f *message.Failure) string {
	if f.Unknown {
		return f.Message + unknownOutcome
	}
	return f.Message
}

// AppendFailure appends the body that f is rendered as (spec 2.9) and returns it with its media type.
func AppendFailure(dst []byte, f *message.Failure, asJSON bool) ([]byte, string) {
	if f.Shown != nil {
		return append(dst, f.Shown.Content...), f.Shown.ContentType
	}
	if !asJSON {
		return append(dst, FailureText(f)...), "text/plain"
	}
	dst = append(dst, `{"message":`...)
	dst = AppendJSONString(dst, FailureText(f))
	dst = append(dst, `,"http_status_code":`...)
	dst = strconv.AppendInt(dst, int64(statusOf(f)), 10)
	return append(dst, '}'), "application/json"
}

// WriteFailure answers the request with f (spec 5.7): JSON or text as the client accepts, and the connection is closed
// unless the client is to blame.
func WriteFailure(fctx *fasthttp.RequestCtx, f *message.Failure) {
	fctx.SetUserValue(message.UserValue, f)
	fctx.Response.ResetBody()
	status := statusOf(f)
	fctx.SetStatusCode(status)
	body, contentType := AppendFailure(nil, f, WantsJSON(Accept(&fctx.Request.Header)))
	if len(f.Message) > 0 {
		fctx.Response.Header.SetContentType(contentType)
		fctx.SetBody(body)
	}
	if status < 400 || status > 499 {
		fctx.SetConnectionClose()
	}
}

func statusOf(f *message.Failure) int {
	if f.Status < 100 || f.Status > 999 {
		return fasthttp.StatusServiceUnavailable // spec 2.1: the default
	}
	return f.Status
}

// FailureMessage is the message that a stream shows f as (spec 2.9): text is its rendering, of the type contentType.
func FailureMessage(f *message.Failure, text []byte, contentType string) *message.Message {
	m := &message.Message{
		Content: text,
		Headers: []message.Header{
			{Name: fasthttp.HeaderContentLength, Value: strconv.AppendInt(nil, int64(len(text)), 10)},
			{Name: fasthttp.HeaderContentType, Value: []byte(contentType)},
		},
		Origin: failureOrigin{f},
	}
	if f.Shown != nil {
		m.Headers = append(m.Headers, f.Shown.Headers...)
	}
	return m
}

// failureOrigin tells the metadata of a failure: key, statusCode and reason.
type failureOrigin struct{ failure *message.Failure }

// AppendMetadata implements message.Origin.
func (o failureOrigin) AppendMetadata(dst []message.Field, _ *message.Message) []message.Field {
	if o.failure.Key != "" {
		dst = append(dst, message.Field{Name: "key", Text: o.failure.Key})
	}
	status := statusOf(o.failure)
	if o.failure.Shown != nil {
		status = o.failure.Shown.Status
	}
	return append(dst,
		message.Field{Name: "statusCode", Int: int64(status), IsInt: true},
		message.Field{Name: "reason", Text: fasthttp.StatusMessage(status)})
}
