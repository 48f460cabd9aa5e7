package discover

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/target"
)

// TestOtherShells runs the probe where sh is another shell than here.
func TestOtherShells(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"dash", "bash", "ksh", "mksh", "yash", "zsh", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t).script("a", "metadata", "#!/bin/sh\necho oh >&2; echo may_be_empty: true").script("a", "backup", "")
			m.script("noshebang", "metadata", "echo restore_parallel: true").script("x y", "note", "")
			bin := filepath.Join(m.dir, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, filepath.Join(bin, "sh")); err != nil {
				t.Fatal(err)
			}
			r := deployment(t, m)
			r.Instances[0].Target = wrapped{r.Instances[0].Target, func(c string) string {
				return "PATH=" + target.Quote(bin) + ":$PATH; export PATH; " + c
			}}
			d, _ := discover(t, r)
			wantEqual(t, "jobs", []string{"a:metadata,backup", "noshebang:metadata"}, jobs(d.Instances[0]))
			wantEqual(t, "a", lockstep.Metadata{MayBeEmpty: true}, d.Instances[0].Jobs[0].Metadata)
			wantEqual(t, "noshebang", lockstep.Metadata{RestoreParallel: true}, d.Instances[0].Jobs[1].Metadata)
		})
	}
}
