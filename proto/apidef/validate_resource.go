package apidef

// checkResources wants a name and a type of every resource that is not a reference (spec 9.8), and a key and a name
// only once.
func (c *checker) checkResources() {
	names := map[string]bool{}
	for i, r := range c.api.Resources {
		at := itemOf("/resources", i)
		if len(r.Ref) > 0 {
			continue
		}
		if r.Name == "" {
			c.fail(at+"/name", CodeMemberMissing, "is required: policies find the resource by it")
		} else if names[r.Name] {
			c.fail(at+"/name", CodeValueInvalid, "%s is the name of another resource; choose another", r.Name)
		}
		names[r.Name] = true
		if r.Type == "" {
			c.fail(at+"/type", CodeMemberMissing, "is required, e.g. oauth2-am-resource")
		}
	}
	keys := map[string]bool{}
	for i, p := range c.api.Properties {
		if keys[p.Key] && p.Key != "" {
			c.warn(itemOf("/properties", i)+"/key", CodeMemberIgnored, "%s stands twice; the last value counts", p.Key)
		}
		keys[p.Key] = true
	}
}
