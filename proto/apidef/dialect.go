package apidef

import "strings"

// Dialect is a way to write a definition (spec 0.3).
type Dialect string

// Dialects.
const (
	// Gateway is what events, ConfigMaps and 3.20 hold: enums lower-case, definitionVersion 4.0.0, plans in a list.
	Gateway Dialect = "gateway"
	// Management is the 4.x REST form: enums upper-case, definitionVersion V4, analytics.sampling, statusCode.
	Management Dialect = "management"
	// CRD is the Kubernetes manifest: Management's enums, plans in a map, version for apiVersion.
	CRD Dialect = "crd"
)

// Manifest constants (spec 9.1).
const (
	manifestAPIVersion = "gravitee.io/v1alpha1"
	manifestKind       = "ApiV4Definition"
)

// envelope is what a document wraps its definition in, and where the definition is.
type envelope struct {
	dialect Dialect
	api     *node
	at      string // pointer to the definition
}

// open finds the definition in a document: in the spec of a manifest, in the api of an export (8.3), or bare.
func open(root *node) envelope {
	switch api := root.get("api"); {
	case root.get("listeners") != nil:
		return envelope{dialect: guess(root), api: root}
	case root.get("kind") != nil || root.get("spec") != nil:
		return envelope{dialect: CRD, api: root.get("spec"), at: "/spec"}
	case api != nil && api.kind == objectKind:
		return envelope{dialect: guess(api), api: gather(root, api), at: "/api"}
	default:
		return envelope{dialect: guess(root), api: root}
	}
}

// gather moves what stands beside the api of an export (plans, members, pages, metadata) into it.
func gather(root, api *node) *node {
	whole := &node{kind: objectKind, line: api.line, column: api.column}
	whole.entries = append(whole.entries, api.entries...)
	for _, e := range root.entries {
		if e.name != "api" {
			whole.entries = append(whole.entries, &entry{name: e.name, value: e.value, from: childOf("", e.name)})
		}
	}
	return whole
}

// guess tells the two JSON dialects apart by the members that every definition has and they spell differently. It
// decides nothing about what is read, only how it is called in messages and what Document.Dialect says.
func guess(api *node) Dialect {
	for _, name := range []string{"definitionVersion", "type"} {
		if v := api.get(name); v != nil && v.kind == textKind && v.text != "" {
			if v.text == strings.ToUpper(v.text) && v.text != strings.ToLower(v.text) {
				return Management
			}
			return Gateway
		}
	}
	return Gateway
}

// refuseOther reports documents that are something else than a V4 definition, so that their members are not reported
// one by one. It tells whether it did.
func (r *reader) refuseOther(root *node, e envelope) bool {
	if root.kind != objectKind {
		r.fail(place{}, CodeMemberType, "must be an API definition, which is an object, not %s", root.kind)
		return true
	}
	if e.dialect == CRD && r.refuseKind(root.get("kind")) {
		return true
	}
	if e.api == nil {
		r.fail(place{from: e.at}, CodeMemberMissing, "is required: it holds the API definition")
		return true
	}
	return r.refuseVersion(e)
}

func (r *reader) refuseKind(kind *node) bool {
	at := place{from: "/kind"}
	switch {
	case kind == nil:
		r.fail(at, CodeKindUnsupported, "is required: %s", manifestKind)
	case kind.text == manifestKind:
		return false
	case kind.text == "ApiDefinition":
		r.fail(at, CodeVersionUnsupported, "ApiDefinition is a v2 definition, which is not supported; write a V4 definition of kind %s", manifestKind)
	default:
		r.fail(at, CodeKindUnsupported, "must be %s, not %s", manifestKind, kind.text)
	}
	return true
}

// refuseVersion refuses the formats before V4, by the version they state or by the member that only they have.
func (r *reader) refuseVersion(e envelope) bool {
	for _, name := range []string{"definitionVersion", "gravitee"} {
		v := e.api.get(name)
		if v != nil && (v.kind == textKind || v.kind == numberKind) && v.text != "" && !isV4(v.text) {
			r.fail(place{from: childOf(e.at, name)}, CodeVersionUnsupported, unsupportedVersion, v.text)
			return true
		}
	}
	if e.api.get("proxy") == nil || e.api.get("listeners") != nil {
		return false
	}
	r.fail(place{from: childOf(e.at, "proxy")}, CodeVersionUnsupported, "belongs to a v1 or v2 definition, which is not supported; write a V4 definition with listeners and endpointGroups")
	return true
}

// manifestMembers are what a manifest may hold besides its spec; Kubernetes owns them.
var manifestMembers = map[string]bool{"apiVersion": true, "kind": true, "metadata": true, "spec": true, "status": true}
