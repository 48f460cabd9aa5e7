//go:build opstest

package ops

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Sections of the document.
const (
	install   = "Install"
	firstHour = "The first hour"
	beyond    = "Beyond this host"
	killed    = "If it is killed"
	upgrade   = "Upgrade it, also while something runs"
	ownBackup = "Back up the orchestrator itself"
	lost      = "Lose it, and start again"
	encrypted = "Keep the key encrypted"
)

const configuration = "/etc/lockstep/config.yaml"

// The story of an orchestrator: it is installed, used, opened to a team, killed,
// upgraded, backed up, lost, begun again, and its key encrypted.
func TestOperations(t *testing.T) {
	w := newWorld(t)
	w.install()
	w.firstHour()
	w.beyond()
	w.kill()
	w.upgrade()
	w.loseAndBeginAgain()
	w.encrypt()
	for _, n := range w.notices() {
		if n.Data.Kind == "held" {
			t.Errorf("somebody was called for what was about to be unlocked: %s", n.Data.Title)
		}
	}
	w.doc.done()
}

func (w *world) install() {
	d := w.doc
	w.operator.run(d.block(install, "useradd --system"))
	w.orchestrator.write(configuration, d.block(install, "state_dir:"))
	w.operator.run(d.block(install, "ssh-keyscan"))
	key := strings.TrimSpace(w.orchestrator.read("/etc/lockstep/id_ed25519.pub"))
	for _, m := range []*machine{w.db, w.web} {
		m.login("/root").run(with(w.t, d.block(install, "sudoers.d"), "ssh-ed25519 AAAA… lockstep", key))
	}
	w.listen(w.orchestrator.read("/etc/lockstep/hook.secret"))
	said := w.operator.run(d.block(install, "check shop"))
	if !hasLine(said, "state", "succeeded") {
		w.t.Fatal("the check did not succeed")
	}
	w.operator.run(d.block(install, "systemctl enable"))
	w.hardened()
}

// hardened fails unless the unit is up, as a service that says when it is ready,
// and can do no more than it should.
func (w *world) hardened() {
	w.t.Helper()
	out := w.orchestrator.sh(`
		systemctl show lockstep --property Type,ActiveState,SubState,Restart
		pid=$(systemctl show lockstep --property MainPID --value)
		grep -E 'NoNewPrivs|Seccomp:|CapEff|CapBnd' /proc/$pid/status
		for folder in / /etc /usr /home /var/lib /srv /srv/backups /var/lib/lockstep; do
		  may=$(nsenter --target $pid --mount setpriv --reuid lockstep --regid lockstep --clear-groups test -w $folder && echo may || echo may-not)
		  echo $may write $folder
		done
		stat -c 'mode %a %U %n' /var/lib/lockstep/admin.token /etc/lockstep/id_ed25519`)
	for _, want := range []string{
		"Type=notify", "ActiveState=active", "SubState=running", "Restart=always", "NoNewPrivs:\t1", "Seccomp:\t2",
		"CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
		"may-not write /", "may-not write /etc", "may-not write /usr", "may-not write /home", "may-not write /var/lib", "may-not write /srv",
		"may write /srv/backups", "may write /var/lib/lockstep",
		"mode 600 lockstep /var/lib/lockstep/admin.token", "mode 640 root /etc/lockstep/id_ed25519",
	} {
		if !strings.Contains(out, want+"\n") {
			w.t.Errorf("the unit is not: %q, in\n%s", want, out)
		}
	}
}

var token = regexp.MustCompile(`(?m)^lks_\S+$`)

func (w *world) firstHour() {
	said := w.operator.run(with(w.t, w.doc.block(firstHour, "tokens create"), "*/5 * * * *", "* * * * *"))
	w.annsEnvironment = []string{"LOCKSTEP_SERVER=https://backup.example.com:7420", "LOCKSTEP_TOKEN=" + token.FindString(said)}
	if !token.MatchString(said) || !hasLine(said, "ops", "delivered") || !hasLine(said, "data", "verified") {
		w.t.Fatal("there is no token, no test was delivered, or no backup verified")
	}
	w.told("a test", func(n notice) bool { return n.Type == "lockstep.test" })
	w.forge()
	w.orchestrator.eventually("a backup was made that nobody asked for", func() bool {
		return strings.Count(w.orchestrator.sh("runuser -u lockstep -- lockstep --config "+configuration+" backups list shop"), " verified ") > 1
	})
	said = w.operator.run(w.doc.block(firstHour, "schedules delete trial"))
	if !strings.Contains(said, "begun") {
		w.t.Fatal("the schedule does not say what it began")
	}
}

// forge sends the receiver what the server did not sign.
func (w *world) forge() {
	w.t.Helper()
	status := w.orchestrator.sh(`curl --silent --output /dev/null --write-out '%{http_code}' --header 'webhook-id: forged' \
		--header "webhook-timestamp: $(date +%s)" --header 'webhook-signature: v1,AAAA' --data '{"type":"forged"}' https://hooks.example.com/lockstep`)
	if status != "401" {
		w.t.Fatalf("the receiver answers %s to what nobody signed: it proves nothing", status)
	}
}

func (w *world) beyond() {
	o := w.orchestrator
	o.write(configuration, o.read(configuration)+w.doc.block(beyond, "public_url:"))
	o.write("/etc/lockstep/cert.pem", w.receiver.read("/pki/backup.example.com.pem"))
	o.write("/etc/lockstep/key.pem", w.receiver.read("/pki/backup.example.com.key"))
	w.operator.run(w.doc.block(beyond, "systemctl restart"))
	w.operator.run(w.doc.block(beyond, "alias ls-admin"))
	_, mine, _ := strings.Cut(w.annsEnvironment[1], "=")
	said := w.ann.login("/root").run(with(w.t, w.doc.block(beyond, "export LOCKSTEP_SERVER"), "lks_…", mine))
	if !strings.Contains(said, "succeeded") {
		w.t.Fatal("Ann sees no runs")
	}
	lookAtThePage(w.t, mine)
}

func (w *world) kill() {
	r := w.lockedBackup()
	w.operator.run(w.doc.block(killed, "--signal=KILL"))
	r.learns("interrupted")
	w.unlocked()
	w.told("the run that was interrupted", func(n notice) bool {
		return n.Type == "lockstep.failed" && n.Data.Run == r.id && n.Data.State == "interrupted" && n.Data.Locks == "released"
	})
	if out := w.orchestrator.sh("systemctl show lockstep --property NRestarts,ActiveState"); !strings.Contains(out, "NRestarts=1\n") || !strings.Contains(out, "ActiveState=active\n") {
		w.t.Errorf("systemd did not start it again: %s", out)
	}
	if out := w.orchestrator.sh("journalctl --unit lockstep --no-pager --grep 'run has ended'"); !strings.Contains(out, "run_id="+r.id+" deployment=shop state=interrupted") {
		w.t.Errorf("the server's log does not say how it ended: %s", out)
	}
}

func (w *world) upgrade() {
	r := w.lockedBackup()
	w.orchestrator.put(filepath.Join(os.Getenv("LOCKSTEP_OPS_BIN"), "next", "lockstep"), "/root/lockstep/bin")
	w.operator.run(w.doc.block(upgrade, "systemctl restart"))
	// The stop was the unlock: nothing is left for the next start.
	w.unlocked()
	r.learns("canceled")
	if v := w.orchestrator.sh("curl --silent --fail https://backup.example.com:7420/version"); !strings.Contains(v, "opstest-next") {
		w.t.Errorf("the new program does not run: %s", v)
	}
}

const pages = "find /var/vcap/store/ledger -name 'page-*' | sort | xargs sha256sum | sha256sum"

func (w *world) loseAndBeginAgain() {
	d, dead := w.doc, w.orchestrator
	w.operator.run(d.block(ownBackup, "sqlite3"))
	before := w.db.sh(pages)
	w.lockedBackup()
	mustDocker(w.t, nil, "kill", dead.name)
	saved := w.t.TempDir()
	for _, folder := range []string{"copy", "backups"} {
		mustDocker(w.t, nil, "cp", "--archive", dead.name+":/srv/"+folder, saved)
	}
	dead.remove()

	w.newOrchestrator("another")
	w.trust(w.orchestrator)
	w.orchestrator.sh("useradd --system somebody") // the users have other numbers here
	w.operator.run(d.block(install, "useradd --system"))
	for _, folder := range []string{"copy", "backups"} {
		mustDocker(w.t, nil, "cp", "--archive", filepath.Join(saved, folder), w.orchestrator.name+":/srv")
	}
	w.operator.run(d.block(lost, "/srv/copy/lockstep/."))
	w.operator.run(d.block(lost, "/srv/copy/lockstep.db"))
	// Nobody waits for the lease here.
	said := w.operator.run(with(w.t, d.block(lost, "cleanup shop"), "cleanup shop", "cleanup shop --take-over"))
	if !strings.Contains(said, " verified ") {
		w.t.Fatal("the backups are not listed")
	}
	w.unlocked()
	w.operator.run(d.block(install, "systemctl enable"))
	w.hardened()

	// Ann's token is good, and so are the backups.
	w.db.sh("rm /var/vcap/store/ledger/*")
	w.lockstep("restore", "shop", "latest", "--yes")
	if after := w.db.sh(pages); after != before {
		w.t.Fatal("what was restored is not what was backed up")
	}
	w.unlocked()
}

func (w *world) encrypt() {
	w.operator.run(w.doc.block(encrypted, "systemd-creds encrypt"))
	w.orchestrator.sh("rm /etc/lockstep/id_ed25519")
	said := w.operator.run(w.doc.block(encrypted, "systemd-run")) + w.lockstep("check", "shop") +
		w.operator.run(w.doc.block(beyond, "alias ls-admin")+"ls-admin check shop")
	if n := strings.Count(said, "state      succeeded"); n != 3 {
		w.t.Fatalf("%d of 3 checks succeeded:\n%s", n, said)
	}
}
