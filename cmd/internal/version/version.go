// Package version says which build this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// release is the version of this source; a release build may set it: -ldflags "-X .../cmd/internal/version.release=v1.2.3".
var release = "v0.1.0"

// Info is the version of a build.
type Info struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"` // built from a tree with changes that are in no commit
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Get reads what the build recorded.
func Get() Info {
	v := Info{Version: release, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	return v
}

// String is the version alone, e.g. v0.1.0.
func String() string { return release }
