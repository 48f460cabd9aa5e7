package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// TestScripts: scripts that are files here are read with the configuration.
func TestScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"lock", "save"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := `
repository: {dir: b}
deployments:
  shop:
    local: {}
    instance_groups: [{name: db, instances: [{id: "0"}]}]
    jobs:
      db: {scripts: {backup: save, pre-backup-lock: lock}}
      extra: {scripts: {backup: ./save}, groups: [db, web]}
`
	c, err := Parse(filepath.Join(dir, "x.yaml"), []byte(text), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	save := Script{Kind: lockstep.ScriptBackup, Path: filepath.Join(dir, "save"), Text: "#!/bin/sh\nsave"}
	want := []Job{
		{Name: "db", Groups: []string{"db"}, Scripts: []Script{{Kind: lockstep.ScriptPreBackupLock, Path: filepath.Join(dir, "lock"), Text: "#!/bin/sh\nlock"}, save}},
		{Name: "extra", Groups: []string{"db", "web"}, Scripts: []Script{save}},
	}
	if diff := cmp.Diff(want, c.Deployments[0].Jobs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := Parse(filepath.Join(dir, "x.yaml"), []byte(Show(c)), testEnv)
	if err != nil {
		t.Fatalf("%v\n%s", err, Show(c))
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("what is shown is read otherwise (-shown +read):\n%s", diff)
	}
}
