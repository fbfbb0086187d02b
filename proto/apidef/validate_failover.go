package apidef

// checkFailover holds the bounds of spec 1.8.
func (c *checker) checkFailover() {
	f := c.api.Failover
	if f == nil {
		return
	}
	for _, bound := range []struct {
		name  string
		value *int
		least int
		unit  string
	}{
		{"maxRetries", f.MaxRetries, 0, ""},
		{"slowCallDuration", f.SlowCallDurationMS, 50, " milliseconds"},
		{"openStateDuration", f.OpenStateDurationMS, 500, " milliseconds"},
		{"maxFailures", f.MaxFailures, 1, ""},
	} {
		if bound.value != nil && *bound.value < bound.least {
			c.fail("/failover/"+bound.name, CodeFailoverInvalid, "must be %d%s or more, not %d", bound.least, bound.unit, *bound.value)
		}
	}
}
