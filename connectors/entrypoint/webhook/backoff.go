package webhook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds how long a receiver may ask us to stay away.
const maxRetryAfter = time.Hour

// backoff is how often, and when, a message is tried again.
type backoff struct {
	repetitions   int // after the first attempt
	initial, most time.Duration
	exponential   bool
}

// delay is the wait after the n-th failed attempt, 1 being the first: up to a tenth less or more, so that what failed together
// does not come back together, but never more than the most.
func (b backoff) delay(n int) time.Duration {
	d := b.initial
	if b.exponential {
		for i := 1; i < n && d < b.most; i++ {
			d *= 2
		}
	} else {
		d *= time.Duration(n)
	}
	d = min(d, b.most)
	return min(jitter(d), b.most)
}

// jitter is d, up to a tenth less or more.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/10 + rand.N(d/5+1)
}

// retryAfter reads the header of that name: seconds or an HTTP date (RFC 9110 section 10.2.3). 0: it says nothing of use.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
