package apidef

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Encode writes a definition in a dialect: Gateway and Management as compact JSON, CRD as a YAML manifest. What
// Decode reads back from it equals api. It fails only where an opaque value of api is not JSON.
func Encode(api *API, dialect Dialect) ([]byte, error) {
	if dialect == CRD {
		return EncodeYAML(api, dialect)
	}
	n, err := encode(api, dialect, "", "")
	if err != nil {
		return nil, err
	}
	return n.raw(), nil
}

// EncodeYAML writes a definition in a dialect as YAML.
func EncodeYAML(api *API, dialect Dialect) ([]byte, error) {
	n, err := encode(api, dialect, "", "")
	if err != nil {
		return nil, err
	}
	return n.yaml()
}

// EncodeManifest writes a definition as a YAML manifest under a name of its own; Encode makes one from the API's.
func EncodeManifest(api *API, name, namespace string) ([]byte, error) {
	n, err := encode(api, CRD, name, namespace)
	if err != nil {
		return nil, err
	}
	return n.yaml()
}

func encode(api *API, dialect Dialect, name, namespace string) (*node, error) {
	w := &writer{dialect: dialect, kept: kept(api)}
	n := apiShape.write(w, "", *api)
	if err := w.problems.Err(); err != nil {
		return nil, fmt.Errorf("encode api %q: %w", api.Name, err)
	}
	if dialect != CRD {
		return n, nil
	}
	metadata := &node{kind: objectKind}
	metadata.set("name", textNode(cmp.Or(name, manifestName(api.Name))))
	if namespace != "" {
		metadata.set("namespace", textNode(namespace))
	}
	manifest := &node{kind: objectKind}
	manifest.set("apiVersion", textNode(manifestAPIVersion))
	manifest.set("kind", textNode(manifestKind))
	manifest.set("metadata", metadata)
	manifest.set("spec", n)
	return manifest, nil
}

// writer is what writing a definition needs beside it.
type writer struct {
	dialect  Dialect
	kept     map[string][]*entry // carried and unknown members by the pointer of their object
	problems Problems
}

func (w *writer) fail(at string, problems Problems) {
	for _, p := range problems {
		p.Pointer = at + p.Pointer
		w.problems = append(w.problems, p)
	}
}

// kept sorts the members that no shape knows to the objects they belong to.
func kept(api *API) map[string][]*entry {
	all := map[string][]*entry{}
	for _, members := range []map[string]json.RawMessage{api.Carried, api.Unknown} {
		for pointer, v := range members {
			if n, _ := parseJSON(v); n != nil {
				parent, name := splitLast(pointer)
				all[parent] = append(all[parent], &entry{name: name, value: n})
			}
		}
	}
	for _, entries := range all {
		slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	}
	return all
}

// maxManifestName is the length of a DNS subdomain name (RFC 1123), which bounds the name of a custom resource.
const maxManifestName = 253

// manifestName makes a Kubernetes object name out of an API's.
func manifestName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == maxManifestName {
			break
		}
	}
	return cmp.Or(strings.Trim(b.String(), "-"), "api")
}
