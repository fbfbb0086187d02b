package httppost

import (
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/sluice-gateway/sluice/connectors/httpfront"
	"github.com/sluice-gateway/sluice/qos/message"
)

// read returns what is known of every message by now. What is not is unknown: it was handed on.
func (o *order) read() (results []result, counts [outcomes]int) {
	results = make([]result, len(o.slots))
	for i := range o.slots {
		if s := &o.slots[i]; s.known.Load() {
			results[i] = s.result
		} else {
			results[i] = result{outcome: unknown, status: timeout.Status, key: timeout.Key, text: timeout.Message}
		}
		counts[results[i].outcome]++
	}
	return results, counts
}

// write answers: 202 only where every message is stored (or, under none, buffered). Otherwise the status is the highest among
// those that the messages would have got one by one, and the body of a batch tells of each.
func (o *order) write(fctx *fasthttp.RequestCtx, representation bool) {
	results, counts := o.read()
	failed := counts[refused] + counts[unknown]
	if failed > 0 && !o.batch {
		r := &results[0]
		httpfront.WriteFailure(fctx, &message.Failure{Status: r.status, Key: r.key, Message: r.text, Unknown: r.outcome == unknown})
		return
	}
	status := fasthttp.StatusAccepted
	for i := range results {
		status = max(status, results[i].status)
	}
	fctx.SetStatusCode(status)
	if failed == 0 && !representation {
		return
	}
	body := []byte{'{'}
	if failed > 0 {
		text := strconv.Itoa(failed) + " of " + strconv.Itoa(len(results)) + " messages were not stored, or it is unknown whether they were"
		body = append(body, `"message":`...)
		body = httpfront.AppendJSONString(body, text)
		body = append(body, `,"http_status_code":`...)
		body = strconv.AppendInt(body, int64(status), 10)
		body = append(body, ',')
	}
	fctx.Response.Header.SetContentType("application/json")
	fctx.SetBody(appendResults(body, results, counts))
	if representation {
		fctx.Response.Header.Set(headerApplied, returnRepresentation)
	}
	if status >= fasthttp.StatusInternalServerError {
		fctx.SetConnectionClose()
	}
}

func appendResults(dst []byte, results []result, counts [outcomes]int) []byte {
	for _, o := range [...]outcome{stored, buffered, refused, unknown} {
		if o == buffered && counts[o] == 0 {
			continue
		}
		dst = append(dst, '"')
		dst = append(dst, o.String()...)
		dst = append(dst, `":`...)
		dst = strconv.AppendInt(dst, int64(counts[o]), 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"messages":[`...)
	for i := range results {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = results[i].append(dst, i)
	}
	return append(dst, ']', '}')
}

func (r *result) append(dst []byte, index int) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"result":"`...)
	dst = append(dst, r.outcome.String()...)
	dst = append(dst, '"')
	if r.topic != "" {
		dst = append(dst, `,"topic":`...)
		dst = httpfront.AppendJSONString(dst, r.topic)
		dst = append(dst, `,"partition":`...)
		dst = strconv.AppendInt(dst, int64(r.partition), 10)
		dst = append(dst, `,"offset":`...)
		dst = strconv.AppendInt(dst, r.offset, 10)
	}
	if r.status != 0 {
		dst = append(dst, `,"status":`...)
		dst = strconv.AppendInt(dst, int64(r.status), 10)
	}
	if r.key != "" {
		dst = append(dst, `,"key":`...)
		dst = httpfront.AppendJSONString(dst, r.key)
	}
	if r.text != "" {
		dst = append(dst, `,"message":`...)
		dst = httpfront.AppendJSONString(dst, r.text)
	}
	return append(dst, '}')
}
