package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	mock "lockstep/internal/mockdirector"
)

// directed is a deployment of a director, with a configuration that names it.
type directed struct {
	t        *testing.T
	director *mock.Director
	dir      string // of the configuration
}

func newDirected(t *testing.T) *directed {
	t.Helper()
	d := &directed{t: t, director: mock.New(t), dir: t.TempDir()}
	d.write("lockstep.yaml", fmt.Sprintf(`
state_dir: state
repository: {dir: backups}
deployments:
  prod:
    bosh: {director: %q, deployment: cf, client: %s, client_secret_file: secret, ca_cert_file: ca.pem}
    script_location: jobs/{job}/bin/bbr
    artifact_location: store
    launcher_location: run
    claim_location: claim
    jobs: {web: {lock_before: [db]}}
`, d.director.URL(), mock.Username))
	d.write("secret", mock.Password+"\n")
	d.write("ca.pem", d.director.CACert())
	return d
}

func (d *directed) write(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// serves has the director know those machines: a database and a web server.
func (d *directed) serves(db, web *mock.Instance) {
	d.director.Always(
		mock.Info(), mock.VMs("cf", db, web), mock.Manifest("cf", ""),
		mock.SetupSSH("cf", "db", db), mock.SetupSSH("cf", "web", web),
		mock.CleanupAny("cf", "db", db), mock.CleanupAny("cf", "web", web),
	)
}

func (d *directed) command(args ...string) *exec.Cmd {
	c := exec.Command("lockstep", args...)
	c.Dir, c.Env = d.dir, append(os.Environ(), "HOME="+d.dir, "LOCKSTEP_CONFIG=", "NO_PROXY=*")
	return c
}

// lockstep runs the program and decodes what it says.
func (d *directed) lockstep(into any, args ...string) {
	d.t.Helper()
	var out, complaint bytes.Buffer
	c := d.command(append(args, "-o", "json")...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		d.t.Fatalf("lockstep %s: %v\n%s", strings.Join(args, " "), err, &complaint)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		d.t.Fatalf("lockstep %s: %v\n%s", strings.Join(args, " "), err, &out)
	}
}

// furnish gives a machine its job: locks, data and what saves and restores it.
// A file "hang" has the backup script wait.
func furnish(t *testing.T, in *mock.Instance, job, data string) {
	t.Helper()
	for script, text := range map[string]string{
		"pre-backup-lock": "touch locked; date +%s%N >locked-at", "post-backup-unlock": "rm -f locked",
		"backup":           `test -e locked; while [ -e hang ]; do sleep 0.1; done; cp data "$BBR_ARTIFACT_DIRECTORY"data`,
		"pre-restore-lock": "touch locked", "post-restore-unlock": "rm -f locked",
		"restore": `test -e locked; cp "$BBR_ARTIFACT_DIRECTORY"data data`,
	} {
		in.Script(t, job, script, "#!/bin/sh\nset -e\ncd "+in.Dir+"\n"+text+"\n")
	}
	put(t, in, "data", data)
}

func put(t *testing.T, in *mock.Instance, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(in.Dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func contents(in *mock.Instance, name string) string {
	text, _ := os.ReadFile(filepath.Join(in.Dir, name))
	return string(text)
}

// A deployment that a director made is backed up, lost with all its machines,
// made anew by the director, and restored.
func TestBackupAndRestoreThroughADirector(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	t.Parallel()
	d := newDirected(t)
	db, web := mock.NewInstance(t, "db", "old-db", 0), mock.NewInstance(t, "web", "old-web", 0)
	furnish(t, db, "db", "of the database")
	furnish(t, web, "web", "of the web server")
	d.serves(db, web)

	var plan struct {
		Plan lockstep.Plan `json:"plan"`
	}
	d.lockstep(&plan, "plan", "prod")
	if len(plan.Plan.Waves) == 0 || plan.Plan.Deployment != "prod" {
		t.Errorf("the plan is %+v", plan.Plan)
	}
	var check, backup, restore lockstep.RunReport
	d.lockstep(&check, "check", "prod")
	d.lockstep(&backup, "backup", "prod")
	if backup.State != lockstep.RunSucceeded || len(backup.Artifacts) != 2 || !strings.HasPrefix(string(*backup.Backup), "prod_") {
		t.Fatalf("the backup: %+v", backup)
	}
	if contents(web, "locked-at") >= contents(db, "locked-at") {
		t.Error("web was not locked before db")
	}
	for _, in := range []*mock.Instance{db, web} {
		if users := in.Users(); len(users) > 0 {
			t.Errorf("users stay on %s: %q", in.ID, users)
		}
	}

	newDB, newWeb := mock.NewInstance(t, "db", "new-db", 0), mock.NewInstance(t, "web", "new-web", 0)
	furnish(t, newDB, "db", "nothing")
	furnish(t, newWeb, "web", "nothing")
	d.serves(newDB, newWeb)
	d.lockstep(&restore, "restore", "prod", "latest", "--yes")
	if got := contents(newDB, "data") + ", " + contents(newWeb, "data"); restore.State != lockstep.RunSucceeded || got != "of the database, of the web server" {
		t.Errorf("restored %q: %+v", got, restore)
	}
}

// An orchestrator is killed while everything is locked. Recovery unlocks, and
// removes the users of the dead run as well as its own.
func TestRecoveryThroughADirector(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	t.Parallel()
	d := newDirected(t)
	db, web := mock.NewInstance(t, "db", "id-db", 0), mock.NewInstance(t, "web", "id-web", 0)
	furnish(t, db, "db", "of the database")
	furnish(t, web, "web", "of the web server")
	put(t, db, "hang", "")
	d.serves(db, web)

	killed := d.command("backup", "prod")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for contents(db, "locked-at") == "" || contents(web, "locked-at") == "" {
		if time.Sleep(20 * time.Millisecond); time.Now().After(deadline) {
			t.Fatal("nothing is locked after a minute")
		}
	}
	_ = killed.Process.Kill()
	_ = killed.Wait()
	if len(db.Users()) == 0 {
		t.Fatal("the killed run had no user: nothing is tested")
	}
	if err := os.Remove(filepath.Join(db.Dir, "hang")); err != nil {
		t.Fatal(err)
	}

	recovery := d.command("recover", "prod")
	out, err := recovery.CombinedOutput()
	if code := recovery.ProcessState.ExitCode(); err != nil && code&lockstep.ExitHeld != 0 {
		t.Errorf("recover: %v\n%s", err, out)
	}
	for _, in := range []*mock.Instance{db, web} {
		if _, err := os.Stat(filepath.Join(in.Dir, "locked")); err == nil {
			t.Errorf("%s is still locked\n%s", in.ID, out)
		}
		if users := in.Users(); len(users) > 0 {
			t.Errorf("users stay on %s: %q\n%s", in.ID, users, out)
		}
	}
}
