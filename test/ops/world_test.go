//go:build opstest

// Package ops follows docs/operations.md, command by command, on machines whose
// process 1 is systemd.
package ops

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The addresses of the document, and those of its names.
const (
	orchestratorAddress = "10.0.0.5"
	annAddress          = "10.0.0.6"
	dbAddress           = "10.0.0.11"
	webAddress          = "10.0.0.21"
	// Notices go to public addresses; this network leads nowhere.
	publicNetwork   = "11.0.0.0/24"
	receiverAddress = "11.0.0.2"
)

// names are what a resolver would know.
var names = []string{"--add-host", "hooks.example.com:" + receiverAddress, "--add-host", "backup.example.com:" + orchestratorAddress}

// world is two instances of a deployment, a receiver of notices, and the machines
// of two people.
type world struct {
	t                *testing.T
	doc              *document
	private, public  string // networks
	db, web          *machine
	receiver         *machine
	ann              *machine
	annsEnvironment  []string
	orchestrator     *machine
	operator         *shell
	authority, certs string // files
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, doc: readDocument(t)}
	w.private, w.public = network(t, "private", "10.0.0.0/24"), network(t, "public", publicNetwork)
	w.db, w.web = boot(t, "db", w.private, dbAddress), boot(t, "web", w.private, webAddress)
	w.ann = boot(t, "ann", w.private, annAddress, names...)
	w.receiver = boot(t, "receiver", w.public, receiverAddress)
	w.newOrchestrator("orchestrator")
	for _, m := range []*machine{w.db, w.web, w.ann, w.receiver} {
		m.booted()
	}
	for m, script := range map[*machine]string{w.db: "db.sh", w.web: "web.sh", w.receiver: "pki.sh"} {
		b, err := os.ReadFile(filepath.Join("fixtures", script))
		if err != nil {
			t.Fatal(err)
		}
		m.sh(string(b))
	}
	w.ann.put(binary(), "/usr/local/bin")
	w.trust(w.ann)
	w.trust(w.orchestrator)
	return w
}

func binary() string { return filepath.Join(os.Getenv("LOCKSTEP_OPS_BIN"), "lockstep") }

// newOrchestrator is a fresh machine with a checkout in which somebody ran make
// build.
func (w *world) newOrchestrator(name string) {
	w.t.Helper()
	o := boot(w.t, name, w.private, orchestratorAddress, names...)
	mustDocker(w.t, nil, "network", "connect", w.public, o.name)
	o.booted()
	o.put(binary(), "/root/lockstep/bin")
	o.put("../../packaging", "/root/lockstep")
	w.orchestrator, w.operator = o, o.login("/root/lockstep")
}

// trust has a machine know who signed the certificates, as it would of public
// ones.
func (w *world) trust(m *machine) {
	w.t.Helper()
	m.write("/usr/local/share/ca-certificates/example.crt", w.receiver.read("/pki/ca.pem"))
	m.sh("update-ca-certificates")
}

// listen starts the receiver with that secret.
func (w *world) listen(secret string) {
	w.t.Helper()
	w.receiver.write("/hook.secret", secret)
	w.receiver.put("fixtures/receiver.py", "/")
	w.receiver.sh("systemd-run --unit receiver --property StandardOutput=append:/notices python3 /receiver.py")
	w.receiver.eventually("the receiver listens", func() bool {
		_, err := docker(w.t, nil, "exec", w.receiver.name, "bash", "-c", "</dev/tcp/127.0.0.1/443")
		return err == nil
	})
}

// notice is one that the receiver got.
type notice struct {
	Type string
	Data struct{ Kind, Title, Run, State, Locks, URL string }
	good bool
}

func (w *world) notices() []notice {
	w.t.Helper()
	var list []notice
	for line := range strings.Lines(w.receiver.read("/notices")) {
		words := strings.SplitN(line, " ", 3)
		n := notice{good: words[0] == "GOOD"}
		if err := json.Unmarshal([]byte(words[2]), &n); err != nil {
			w.t.Fatalf("%v in %s", err, line)
		}
		list = append(list, n)
	}
	return list
}

// told waits for a notice that is signed as it has to be.
func (w *world) told(what string, is func(notice) bool) {
	w.t.Helper()
	w.receiver.eventually("there is a notice of "+what, func() bool {
		return slices.ContainsFunc(w.notices(), func(n notice) bool { return n.good && is(n) })
	})
}

// asAnn are the arguments of a command on Ann's machine.
func (w *world) asAnn(command ...string) []string {
	args := []string{"exec"}
	for _, e := range w.annsEnvironment {
		args = append(args, "--env", e)
	}
	return append(append(args, w.ann.name, "lockstep"), command...)
}

// run is a run that Ann watches.
type run struct {
	w     *world
	id    string
	ended chan string // what the watching client said, to its end
}

// lockedBackup has Ann begin a backup and watch it, and returns when both instances
// are locked and its backup script is at work.
func (w *world) lockedBackup() *run {
	w.t.Helper()
	w.db.write("/var/vcap/store/slow", "")
	out, err := exec.Command("docker", w.asAnn("backup", "shop", "--detach")...).Output()
	if err != nil {
		w.t.Fatalf("begin a backup: %v", err)
	}
	r := &run{w: w, id: strings.TrimSpace(string(out)), ended: make(chan string, 1)}
	watch := exec.Command("docker", w.asAnn("runs", "watch", r.id)...)
	go func() {
		said, _ := watch.CombinedOutput()
		r.ended <- string(said)
	}()
	w.db.eventually("the deployment is locked and its backup at work", func() bool {
		return w.locked() == "db web" && strings.Contains(w.lockstep("runs", "show", r.id), "work")
	})
	time.Sleep(time.Second) // the watching client has its stream
	return r
}

// locked are the instances that are locked.
func (w *world) locked() string {
	var list []string
	if w.db.has("/var/vcap/store/ledger.closed") {
		list = append(list, "db")
	}
	if w.web.has("/var/vcap/store/front.closed") {
		list = append(list, "web")
	}
	return strings.Join(list, " ")
}

// lockstep is what a command of Ann prints.
func (w *world) lockstep(command ...string) string {
	w.t.Helper()
	out, err := docker(w.t, nil, w.asAnn(command...)...)
	if err != nil && !strings.Contains(err.Error(), "exit status 1:") {
		w.t.Fatal(err)
	}
	return out
}

// learns waits until the watching client has ended, and fails unless it was told
// that the run ended so.
func (r *run) learns(state string) {
	r.w.t.Helper()
	select {
	case said := <-r.ended:
		r.w.t.Logf("the watching client says:\n%s", said)
		if !hasLine(said, "state", state) || !hasLine(said, "locks", "released") {
			r.w.t.Fatalf("the client that watched was not told that it ended %s, with its locks released", state)
		}
	case <-time.After(patience):
		r.w.t.Fatal("the client that watched never learned the end of its run")
	}
}

// hasLine reports whether a line begins with these words.
func hasLine(text string, words ...string) bool {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= len(words) && slices.Equal(f[:len(words)], words) {
			return true
		}
	}
	return false
}

// unlocked fails unless nothing is locked and the ledger is written to again.
func (w *world) unlocked() {
	w.t.Helper()
	if l := w.locked(); l != "" {
		w.t.Fatalf("still locked: %s", l)
	}
	w.db.sh("rm -f /var/vcap/store/slow")
	entries := func() string { return w.db.sh("wc -l </var/vcap/store/ledger/book") }
	before := entries()
	w.db.eventually("the ledger is written to again", func() bool { return entries() != before })
}
