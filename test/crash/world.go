package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"lockstep"
	"lockstep/internal/sshtest"
)

// world is one deployment with an orchestrator of its own: instances that are
// folders, each behind an SSH server of this process, which is not the one that
// is killed.
type world struct {
	dir       string
	binary    string
	instances []*instance
	hook      *httptest.Server

	mu   sync.Mutex
	told map[lockstep.RunID]map[lockstep.NoticeKind]bool // what the receiver got

	known map[string]bool // names of runs that were judged
}

// instance is one of them.
type instance struct {
	name   string // GROUP-INDEX
	root   string
	jobs   []string
	server *sshtest.Server
	read   int64 // how much of its truth was judged
}

// The script of every job and kind. It writes down what really happens, and
// looks itself whether the barriers hold: nothing works unless everything is
// locked, nothing is unlocked while anything works.
const script = `#!/bin/sh
kind=${0##*/}; bin=${0%/*}; job=${bin%/*}; root=${job%/*/*}; job=${job##*/}
say() { printf '%s\n' "$*" >>"$root/truth"; }
say "begin $LOCKSTEP_STEP $kind $job $$"
case $kind in
pre-*-lock) : >"$root/locked.$job" ;;
backup|restore)
	for l in "$root"/../*/jobs/*; do
		j=${l##*/}; r=${l%/jobs/*}
		[ -e "$r/locked.$j" ] || say "broken $LOCKSTEP_STEP $kind of $job runs, and $j is not locked"
	done
	echo $$ >"$root/working.$job"
	if [ "$kind" = backup ]; then echo "of $job" >"$BBR_ARTIFACT_DIRECTORY/data"; else [ -e "$BBR_ARTIFACT_DIRECTORY/data" ] || exit 3; fi
	sleep 0.02
	rm -f "$root/working.$job" ;;
post-*-unlock)
	for w in "$root"/../*/working.*; do
		[ -e "$w" ] && pid=$(cat "$w") && [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && say "broken $LOCKSTEP_STEP $kind of $job runs, and $w still works"
	done
	rm -f "$root/locked.$job" ;;
esac
say "end $LOCKSTEP_STEP $kind $job $$"
`

var kinds = []lockstep.ScriptKind{
	lockstep.ScriptPreBackupLock, lockstep.ScriptBackup, lockstep.ScriptPostBackupUnlock,
	lockstep.ScriptPreRestoreLock, lockstep.ScriptRestore, lockstep.ScriptPostRestoreUnlock,
}

// newWorld makes one below dir. The caller closes it.
func newWorld(dir, binary string) (*world, error) {
	w := &world{dir: dir, binary: binary, told: map[lockstep.RunID]map[lockstep.NoticeKind]bool{}, known: map[string]bool{}}
	w.instances = []*instance{
		{name: "db-0", jobs: []string{"postgres", "blobs"}}, {name: "web-0", jobs: []string{"web"}},
	}
	w.hook = httptest.NewServer(http.HandlerFunc(w.receive))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return w, err
	}
	login, err := w.writeKey()
	if err != nil {
		return w, err
	}
	var hosts strings.Builder
	for _, i := range w.instances {
		if err := w.furnish(i, login); err != nil {
			return w, err
		}
		hosts.WriteString(knownhosts.Line([]string{knownhosts.Normalize(i.server.Addr())}, i.server.HostKey()) + "\n")
	}
	return w, errors.Join(
		os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(hosts.String()), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "lockstep.yaml"), []byte(w.config()), 0o600),
	)
}

func (w *world) furnish(i *instance, login ssh.PublicKey) (err error) {
	i.root = filepath.Join(w.dir, "instances", i.name)
	for _, job := range i.jobs {
		bin := filepath.Join(i.root, "jobs", job, "bin")
		if err := os.MkdirAll(bin, 0o755); err != nil {
			return err
		}
		for _, kind := range kinds {
			if err := os.WriteFile(filepath.Join(bin, string(kind)), []byte(script), 0o755); err != nil {
				return err
			}
		}
	}
	i.server, err = sshtest.Start(sshtest.Config{
		Dir: i.root, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + i.root, "LC_ALL=C"},
		User: "ops", AuthorizedKeys: []ssh.PublicKey{login}, KillStrays: true,
	})
	return err
}

func (w *world) config() string {
	return fmt.Sprintf(`state_dir: state
repository: {dir: backups}
notify:
- name: hook
  events: [succeeded, failed]
  webhook: {url: %q, secret_file: secret, plain_http: true, allow: [127.0.0.0/8]}
deployments:
  shop:
    schedule: {cron: "@yearly"}
    ssh: {user: ops, sudo: false, identity_file: id_ed25519, identities_only: true, identity_agent: none, known_hosts: known_hosts, config_file: none, proxy_jump: none}
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
    jobs:
      web: {lock_before: [postgres]}
    instance_groups:
    - {name: db, instances: [{id: "0", host: %q}]}
    - {name: web, instances: [{id: "0", host: %q}]}
`, w.hook.URL, w.instances[0].server.Addr(), w.instances[1].server.Addr())
}

func (w *world) writeKey() (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "crash")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "id_ed25519"), pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

// receive is the receiver of notices.
func (w *world) receive(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var message struct {
		Data lockstep.Notice `json:"data"`
	}
	if json.Unmarshal(body, &message) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told[message.Data.Run] == nil {
		w.told[message.Data.Run] = map[lockstep.NoticeKind]bool{}
	}
	w.told[message.Data.Run][message.Data.Kind] = true
}

func (w *world) wasTold(id lockstep.RunID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.told[id]) > 0
}

// close ends the SSH servers and all that runs on the instances.
func (w *world) close() {
	for _, i := range w.instances {
		if i.server != nil {
			_ = i.server.Close()
		}
	}
	w.hook.Close()
}
