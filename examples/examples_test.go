// Package examples checks that what is shown to be copied can be copied.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lockstep/config"
)

func TestConfigurations(t *testing.T) {
	t.Setenv("SHOP_KEY", filepath.Join(t.TempDir(), "key"))
	files, err := filepath.Glob("*/lockstep.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configurations found: %v", err)
	}
	for _, f := range append(files, "kubernetes/in-cluster.yaml") {
		if _, err := config.Load(f, os.Getenv); err != nil {
			t.Error(err)
		}
	}
}

// A script that root may not execute, or that no shell can read, fails at the
// worst moment: when others are locked already.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/jobs/*/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", f)
		}
		if out, err := exec.Command("sh", "-n", f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}
