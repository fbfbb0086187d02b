package apidef_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gateway/sluice/proto/apidef"
)

func withPath(id, host, path string) *apidef.API {
	return &apidef.API{ID: id, Name: "api " + id, Listeners: []apidef.Listener{
		{Type: apidef.ListenerHTTP, Paths: []apidef.Path{{Host: host, Path: path}}},
	}}
}

func withHost(id string, typ apidef.ListenerType, host string) *apidef.API {
	l := apidef.Listener{Type: typ, Host: host}
	if typ == apidef.ListenerTCP {
		l = apidef.Listener{Type: typ, Hosts: []string{"other.example.com", host}}
	}
	return &apidef.API{ID: id, Name: "api " + id, Listeners: []apidef.Listener{l}}
}

func TestPathConflicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		mine, others *apidef.API
		want         []string
	}{
		{"same path", withPath("1", "", "/a/"), withPath("2", "", "/a/"), []string{"/listeners/0/paths/0/path Path [/a/] already exists; it belongs to api 2"}},
		{"beneath", withPath("1", "", "/a/b/"), withPath("2", "", "/a/"), nil},
		{"above", withPath("1", "", "/a/"), withPath("2", "", "/a/b/"), nil},
		{"other spelling", withPath("1", "", "/a"), withPath("2", "", "a//"), []string{"/listeners/0/paths/0/path Path [/a/] already exists; it belongs to api 2"}},
		{"same host", withPath("1", "H.example.com", "/a/"), withPath("2", "h.example.com", "/a/"), []string{"/listeners/0/paths/0/path Path [H.example.com/a/] already exists; it belongs to api 2"}},
		{"other host", withPath("1", "h", "/a/"), withPath("2", "i", "/a/"), nil},
		{"host and none", withPath("1", "h", "/a/"), withPath("2", "", "/a/"), nil},
		{"itself, stored", withPath("1", "", "/a/"), withPath("1", "", "/a/"), nil},
		{"new ones have no id", withPath("", "", "/a/"), withPath("", "", "/a/"), []string{"/listeners/0/paths/0/path Path [/a/] already exists; it belongs to api "}},
		{"kafka host", withHost("1", apidef.ListenerKafka, "K.local"), withHost("2", apidef.ListenerKafka, "k.local"), []string{"/listeners/0/host Host [K.local] already exists; it belongs to api 2"}},
		{"tcp hosts", withHost("1", apidef.ListenerTCP, "t.example.com"), withHost("2", apidef.ListenerTCP, "t.example.com"), []string{
			"/listeners/0/hosts/0 Host [other.example.com] already exists; it belongs to api 2",
			"/listeners/0/hosts/1 Host [t.example.com] already exists; it belongs to api 2",
		}},
		{"hosts of other kinds", withHost("1", apidef.ListenerKafka, "t.example.com"), withHost("2", apidef.ListenerTCP, "t.example.com"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range apidef.PathConflicts(tt.mine, []*apidef.API{tt.mine, tt.others}) {
				got = append(got, p.Pointer+" "+p.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
