package wire

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of the exchange of rate counters.
const (
	// RateKeyBytes is the length of the digest that stands for a counter's key, in bytes.
	RateKeyBytes = 16
	// MaxRateCounts bounds the counts in one message.
	MaxRateCounts = 4_000
	// MaxRateBytes bounds a message of counts, in bytes: MaxRateCounts of at most 64 each.
	MaxRateBytes = 256 << 10

	maxRateLeft = 1 << 20 // messages of one answer: far more than memory holds windows
)

const (
	ratesInfix    = ".rates."
	ratesToInfix  = ".rates-to."
	ratesAskInfix = ".rates-ask."
)

// RatesSubject is where a worker tells all others what it counted.
func RatesSubject(worker string) string { return prefix + workerToken + ratesInfix + token(worker) }

// RatesPattern matches RatesSubject of every worker.
func RatesPattern() string { return prefix + workerToken + ratesInfix + "*" }

// RatesToSubject is where one worker tells another what it counted, because that one asked.
func RatesToSubject(to, from string) string {
	return prefix + workerToken + ratesToInfix + token(to) + "." + token(from)
}

// RatesToPattern matches RatesToSubject of every worker to this one.
func RatesToPattern(to string) string { return prefix + workerToken + ratesToInfix + token(to) + ".*" }

// RatesAskSubject is where a worker asks the others what they counted. Its name is in the subject, so that NATS permissions
// keep one worker from asking as another.
func RatesAskSubject(worker string) string {
	return prefix + workerToken + ratesAskInfix + token(worker)
}

// RatesAskPattern matches RatesAskSubject of every worker.
func RatesAskPattern() string { return prefix + workerToken + ratesAskInfix + "*" }

// IsRateAsk tells whether a subject is one of questions.
func IsRateAsk(subject string) bool {
	return strings.HasPrefix(subject, prefix+workerToken+ratesAskInfix)
}

// IsRateAnswer tells whether a subject is one of answers to one worker.
func IsRateAnswer(subject string) bool {
	return strings.HasPrefix(subject, prefix+workerToken+ratesToInfix)
}

// ratePermissions is what a worker may do in the exchange of rate counters: speak as itself, hear all.
func ratePermissions(worker string) Permissions {
	return Permissions{
		Publish:   []string{RatesSubject(worker), prefix + workerToken + ratesToInfix + "*." + token(worker), RatesAskSubject(worker)},
		Subscribe: []string{RatesPattern(), RatesToPattern(worker), RatesAskPattern()},
	}
}

// DecodeRateCounts decodes what a worker counted.
func DecodeRateCounts(data []byte) (*RateCounts, error) {
	m := &RateCounts{}
	if err := unmarshal(data, MaxRateBytes, m); err != nil {
		return nil, fmt.Errorf("decode rate counts: %w", err)
	}
	if err := errors.Join(checkVersion(m.GetV()), atMost("counts", len(m.GetCounts()), MaxRateCounts),
		atMost("left", m.GetLeft(), maxRateLeft)); err != nil {
		return nil, fmt.Errorf("decode rate counts: %w", err)
	}
	if m.GetOrigin() == 0 {
		return nil, fmt.Errorf("decode rate counts: %w: of nobody", ErrMalformed)
	}
	for _, c := range m.GetCounts() {
		if err := checkLen("key", c.GetKey(), RateKeyBytes); err != nil {
			return nil, fmt.Errorf("decode rate counts: %w", err)
		}
	}
	return m, nil
}

// DecodeRateAsk decodes a worker's question for counts, which came on this subject.
func DecodeRateAsk(subject string, data []byte) (*RateAsk, error) {
	m := &RateAsk{}
	if err := unmarshal(data, MaxAskBytes, m); err != nil {
		return nil, fmt.Errorf("decode rate ask: %w", err)
	}
	if err := errors.Join(checkVersion(m.GetV()), CheckName(m.GetWorker())); err != nil {
		return nil, fmt.Errorf("decode rate ask: %w", err)
	}
	if subject != RatesAskSubject(m.GetWorker()) {
		return nil, fmt.Errorf("decode rate ask: %w: of another worker than its subject says", ErrMalformed)
	}
	return m, nil
}
