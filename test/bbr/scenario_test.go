//go:build bbrsuite

package bbr

import (
	"os"
	"path/filepath"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// The deployment of most scenarios.
const (
	name     = "my-little-deployment"
	group    = "redis-dedicated-node"
	manifest = "name: my-little-deployment\ninstance_groups:\n- name: redis-dedicated-node\n  jobs:\n  - {name: redis, release: redis}\n  - {name: redis-writer, release: redis}\n"
)

// place is what a scenario is played on: a session and a deployment of one
// instance.
type place struct {
	*session
	m  *machine
	in *mock.Instance
}

// scenario is one run on a deployment of one instance.
type scenario struct {
	name string
	// scripts of the job redis, by kind.
	scripts map[string]string
	// set prepares more than scripts.
	set func(p place)
	// args are the subcommand and its options; nil is backup.
	args []string
	// calls are those that the director expects after the setup of the
	// instance; nil is one cleanup call. They are instead of all calls, if
	// whole.
	calls func(p place) [][]mock.Call
	whole bool

	code        int
	out, stderr []string // patterns in order
	hidden      []string // printed nowhere
	advice      bool
	after       func(t *testing.T, p place, o outcome)
}

func play(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, c := range scenarios {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, d := withDirector(t)
			p := place{session: s, m: newMachine(t)}
			p.in = p.m.as(group, "fake-uuid", 0)
			for kind, text := range c.scripts {
				p.m.script("redis", kind, text)
			}
			if c.set != nil {
				c.set(p)
			}
			if !c.whole {
				d.Expect(mock.Deployment(name, manifest, p.in))
			}
			if c.calls != nil {
				d.Expect(c.calls(p)...)
			} else {
				d.Expect(mock.CleanupSSH(name, p.in))
			}
			args := c.args
			if args == nil {
				args = []string{"backup"}
			}
			o := p.deployment(name, args...)
			o.exits(c.code).says(c.out...).complains(c.stderr...).hides(c.hidden...).advises(c.advice)
			if c.code != 0 {
				p.failedInWriting(o)
			}
			if c.after != nil {
				c.after(t, p, o)
			}
		})
	}
}

// ran is a script that leaves a file of its kind in /tmp.
func ran(kind string) string { return "#!/usr/bin/env sh\ntouch /tmp/" + kind + "-was-run\n" }

// twoDumps is the backup script of most scenarios.
const twoDumps = `#!/usr/bin/env sh
set -u
printf "backupcontent1" > $BBR_ARTIFACT_DIRECTORY/backupdump1
printf "backupcontent2" > $BBR_ARTIFACT_DIRECTORY/backupdump2
`

func noBackup(t *testing.T, p place, _ outcome) {
	t.Helper()
	if left := p.entries(name + "_*"); len(left) != 0 {
		t.Errorf("there are folders: %v", left)
	}
}

func noArtifacts(t *testing.T, p place, _ outcome) { t.Helper(); p.m.lacks(store) }

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
