package apidef

import "strings"

// PathConflicts tells which paths and hosts of api are taken by others, with pointers into api's normal form (use
// Document.Origin for the user's). An API with the same id is api itself and is left out.
//
// Only the same path on the same host conflicts. 3.20 refused a path beneath another's as well: /a/ and /a/b/ could
// not stand side by side. Here they can, because routing takes the longest path first, so neither hides the other;
// what 3.20 accepts is accepted all the same. The hosts of tcp and kafka listeners are unique each among their kind.
func PathConflicts(api *API, others []*API) Problems {
	owners := map[string]string{} // what is taken -> the name of the API that has it
	for _, other := range others {
		if other == api || other.ID != "" && other.ID == api.ID {
			continue
		}
		for _, claim := range claims(other) {
			owners[claim.key] = other.Name
		}
	}
	var found Problems
	for _, claim := range claims(api) {
		owner, taken := owners[claim.key]
		if !taken {
			continue
		}
		p := Problem{Pointer: claim.at, Severity: Error, Code: CodePathExists, Message: "Path [" + claim.what + "] already exists"}
		if claim.listener != ListenerHTTP {
			p.Code, p.Message = CodeListenerHostExists, "Host ["+claim.what+"] already exists"
		}
		if owner != "" {
			p.Message += "; it belongs to " + owner
		}
		found = append(found, p)
	}
	return found
}

// claim is one path or host that an API wants for itself.
type claim struct {
	key, what, at string
	listener      ListenerType
}

func claims(api *API) []claim {
	var all []claim
	for i, l := range api.Listeners {
		at := itemOf("/listeners", i)
		add := func(what, key, at string) {
			all = append(all, claim{key: string(l.Type) + " " + key, what: what, at: at, listener: l.Type})
		}
		switch l.Type {
		case ListenerHTTP:
			for j, p := range l.Paths {
				k := pathKey(p)
				add(p.Host+k.Path, k.Host+k.Path, itemOf(at+"/paths", j)+"/path")
			}
		case ListenerTCP:
			for j, host := range l.Hosts {
				add(host, strings.ToLower(host), itemOf(at+"/hosts", j))
			}
		case ListenerKafka:
			if l.Host != "" {
				add(l.Host, strings.ToLower(l.Host), at+"/host")
			}
		}
	}
	return all
}
