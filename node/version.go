package node

import (
	"runtime"
	"runtime/debug"

	"boucan/store"
)

// version is the release; the linker may set it (-X boucan/node.version=…).
var version = "0.1.0-dev"

// Build describes the program.
type Build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Store   string `json:"store"` // the store's engine
}

// VersionInfo describes this build.
func VersionInfo() Build {
	b := Build{Version: version, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Store: store.Engine}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	return b
}
