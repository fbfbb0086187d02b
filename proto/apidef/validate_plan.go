package apidef

import "slices"

// checkPlans applies the rules of spec 1.11, 7.2 and 7.3. That there is a plan at all is asked when the API is
// deployed, since a REST client adds plans after the API.
func (c *checker) checkPlans() {
	ids := map[string]bool{}
	keyless := ""
	for i := range c.api.Plans {
		p, at := &c.api.Plans[i], itemOf("/plans", i)
		if ids[p.ID] && p.ID != "" {
			c.fail(at+"/id", CodePlanInvalid, "%s is the id of another plan", p.ID)
		}
		ids[p.ID] = true
		if p.keyless() && p.Served() {
			if keyless != "" {
				c.fail(at+"/security/type", CodePlanInvalid, "an API has one key-less plan, and %s is one already; close it or choose another security", keyless)
			}
			keyless = p.Name
		}
		c.checkSecurity(at, p)
		c.checkPlanTags(at+"/tags", p)
		c.checkPlanPorts(at, p)
		c.checkFlows(at+"/flows", p.Flows)
	}
}

func (p *Plan) keyless() bool { return p.Security != nil && p.Security.Type == securityKeyless }

// Served tells whether gateways serve the plan (spec 1.11).
func (p *Plan) Served() bool { return p.Status == PlanPublished || p.Status == PlanDeprecated }

func (c *checker) checkSecurity(at string, p *Plan) {
	if p.Mode == planPush {
		if p.Security != nil {
			c.fail(at+"/security", CodePlanInvalid, "a push plan has no security: Sluice calls the subscriber; remove it")
		}
		if !c.has(ListenerSubscription) {
			c.fail(at+"/mode", CodePlanInvalid, "push needs a subscription listener, e.g. with the webhook entrypoint")
		}
		return
	}
	if p.Security == nil {
		c.fail(at+"/security", CodePlanInvalid, "is required: its type is one of %s", securityTypes.choices())
		return
	}
	if c.has(ListenerTCP) && p.Security.Type != "" && !p.keyless() && p.Security.Type != securityMTLS {
		c.fail(at+"/security/type", CodePlanInvalid, "a tcp listener cannot see %s credentials; choose one of: %s, %s", p.Security.Type, securityKeyless, securityMTLS)
	}
	if !slices.ContainsFunc(c.api.Listeners, func(l Listener) bool { return l.Type != ListenerSubscription }) && len(c.api.Listeners) > 0 {
		c.warn(at+"/mode", CodeMemberIgnored, "an API with nothing but a subscription listener is used through push plans; this one has no effect")
	}
}

func (c *checker) has(typ ListenerType) bool {
	return slices.ContainsFunc(c.api.Listeners, func(l Listener) bool { return l.Type == typ })
}

// checkPlanTags: a plan goes where its API goes.
func (c *checker) checkPlanTags(at string, p *Plan) {
	if len(p.Tags) == 0 {
		return
	}
	shared := func(tag string) bool { return slices.Contains(c.api.Tags, tag) }
	if !slices.ContainsFunc(p.Tags, shared) {
		c.fail(at, CodeTagNotAllowed, "has no tag of the API, so no worker would serve the plan; add one of them to the API's tags")
	}
}

// checkPlanPorts checks the port routing of native plans (spec 9.8).
func (c *checker) checkPlanPorts(at string, p *Plan) {
	for _, port := range []struct {
		name  string
		value int
	}{{"bootstrapPort", p.BootstrapPort}, {"brokerRangeStart", p.BrokerRangeStart}, {"brokerRangeEnd", p.BrokerRangeEnd}} {
		if port.value != 0 && !validPort(port.value) {
			c.fail(at+"/"+port.name, CodePlanInvalid, "%d is no port; a port is 1 to 65535", port.value)
		}
		if port.value != 0 && c.api.Type != TypeNative {
			c.warn(at+"/"+port.name, CodeMemberIgnored, "has no effect on a %s API", c.api.Type)
		}
	}
	switch {
	case (p.BrokerRangeStart == 0) != (p.BrokerRangeEnd == 0):
		c.fail(at, CodePlanInvalid, "a range of broker ports has two ends; give brokerRangeStart and brokerRangeEnd")
	case p.BrokerRangeStart > p.BrokerRangeEnd:
		c.fail(at+"/brokerRangeEnd", CodePlanInvalid, "must not be below brokerRangeStart")
	case p.BootstrapPort != 0 && p.BrokerRangeStart <= p.BootstrapPort && p.BootstrapPort <= p.BrokerRangeEnd:
		c.fail(at+"/bootstrapPort", CodePlanInvalid, "must not be within the range of broker ports")
	}
}
