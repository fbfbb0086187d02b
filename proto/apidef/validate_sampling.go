package apidef

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Limits of sampling, as the reference ships them (spec 1.9). A value beyond is a warning: gateways clamp it.
const (
	minSamplingCount       = 10
	minSamplingProbability = 0.01
	maxSamplingProbability = 0.5
	minSamplingPeriod      = time.Second
	maxSamplingRate        = 1.0 // messages per second
)

func (c *checker) checkSampling(at string, s *Sampling) {
	value := strings.TrimSpace(s.Value)
	if value == "" {
		return // is reported as missing
	}
	switch s.Type {
	case "count":
		n, err := strconv.Atoi(value)
		c.judgeSampling(at, value, "a whole number, e.g. 100", err == nil && n > 0, n >= minSamplingCount, fmt.Sprintf("%d or more", minSamplingCount))
	case "probability":
		p, err := strconv.ParseFloat(value, 64)
		c.judgeSampling(at, value, "a number, e.g. 0.01", err == nil && p >= 0 && p <= 1, p >= minSamplingProbability && p <= maxSamplingProbability,
			fmt.Sprintf("%v to %v", minSamplingProbability, maxSamplingProbability))
	case "temporal":
		d, ok := parsePeriod(value)
		c.judgeSampling(at, value, "a duration, e.g. PT10S", ok && d > 0, d >= minSamplingPeriod, "PT1S or more")
	case "windowed-count":
		count, window, _ := strings.Cut(value, "/")
		n, err := strconv.Atoi(count)
		d, ok := parsePeriod(window)
		good := err == nil && n > 0 && ok && d > 0
		c.judgeSampling(at, value, "a count per duration, e.g. 1/PT10S", good, good && float64(n)/d.Seconds() <= maxSamplingRate, "1/PT1S or rarer")
	}
}

func (c *checker) judgeSampling(at, value, form string, readable, within bool, limit string) {
	switch {
	case !readable:
		c.fail(at, CodeSamplingInvalid, "%q must be %s", value, form)
	case !within:
		c.warn(at, CodeSamplingInvalid, "%s is beyond the limit; %s is recommended, and gateways may clamp it", value, limit)
	}
}

// isoPeriod is the part of an ISO 8601 duration that has a fixed length: days and smaller.
var isoPeriod = regexp.MustCompile(`^P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:\.[0-9]+)?)S)?)?$`)

// parsePeriod reads PT10S, and 10s as well.
func parsePeriod(s string) (time.Duration, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, true
	}
	m := isoPeriod.FindStringSubmatch(strings.ToUpper(s))
	if m == nil {
		return 0, false
	}
	var seconds float64
	for i, unit := range []float64{86400, 3600, 60, 1} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return 0, false
		}
		seconds += n * unit
	}
	const most = float64(1<<63-1) / float64(time.Second)
	return time.Duration(seconds * float64(time.Second)), seconds > 0 && seconds < most
}
