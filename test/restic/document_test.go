//go:build restictest

package restic

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
)

// TestTheDocument types what docs/repository.md says of restoring without
// Lockstep, where there is nothing but restic, the repository and its password.
func TestTheDocument(t *testing.T) {
	t.Parallel()
	s, dir := made(t), t.TempDir()
	const dump = "select 1;\n"
	artifact := repositorytest.Tar(t, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "dump.sql", Content: dump})
	m := s.backup("shop_20261122T144241Z", map[string][]byte{"db-0-postgres": artifact})
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	restored, dumped := filepath.Join(dir, "restored"), filepath.Join(dir, "dumped")
	script := strings.NewReplacer(
		"/srv/backups", s.path, "/etc/lockstep/repository.password", secret,
		"SNAPSHOT", "latest", " /restore", " "+restored, "| psql", "> "+dumped,
	).Replace(section(t, "## Restore without Lockstep"))
	c := exec.CommandContext(t.Context(), "sh", "-ec", script)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	for _, want := range []string{string(m.ID), "/db-0-postgres/dump.sql", `"data":"verified"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in what restic says:\n%s", want, out)
		}
	}
	if got, err := os.ReadFile(dumped); err != nil || string(got) != dump {
		t.Errorf("dumped %q, %v", got, err)
	}
	got, _, err := repository.ReadTar(t.Context(), bytes.NewReader(tarOf(t, filepath.Join(restored, "db-0-postgres"))))
	if err != nil || got.Digest() != m.Artifacts[0].Digest {
		t.Errorf("what was restored is not what was backed up: %v", err)
	}
}

// section gives the shell lines of a part of the document.
func section(t *testing.T, head string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/repository.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), head+"\n")
	if !ok {
		t.Fatalf("no part %q", head)
	}
	part, _, _ = strings.Cut(part, "\n## ")
	var lines strings.Builder
	for i, block := range strings.Split(part, "```") {
		if code, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			lines.WriteString(code)
		}
	}
	return lines.String()
}
