// Package build says how the program that runs was built.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Info is what is known of how this program was built.
type Info struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"commit_time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Of is what is known of this program, whose version its caller knows.
func Of(version string) Info {
	b := Info{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String is Info on a line, as `lockstep version` prints it.
func (b Info) String() string {
	text := "lockstep " + b.Version
	if b.Commit != "" {
		text += fmt.Sprintf(" (commit %.12s of %s", b.Commit, b.Time)
		if b.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return fmt.Sprintf("%s %s %s", text, b.Go, b.Platform)
}
