package bbr

import (
	"fmt"
	"os"
	"path/filepath"
)

// stateDirs are the folders in which the journal may be kept, the best first.
func stateDirs(getenv func(string) (string, bool)) []string {
	var dirs []string
	if s, _ := getenv("LOCKSTEP_STATE_DIR"); s != "" {
		dirs = append(dirs, s)
	}
	if s, _ := getenv("XDG_STATE_HOME"); filepath.IsAbs(s) {
		dirs = append(dirs, filepath.Join(s, "lockstep"))
	} else if home, _ := getenv("HOME"); filepath.IsAbs(home) {
		dirs = append(dirs, filepath.Join(home, ".local", "state", "lockstep"))
	}
	temp, _ := getenv("TMPDIR")
	if !filepath.IsAbs(temp) {
		temp = "/tmp"
	}
	return append(dirs, filepath.Join(temp, fmt.Sprintf("lockstep-%d", os.Geteuid())))
}
