package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/helper/helpertest"
	"lockstep/launcher"
	"lockstep/repository/mem"
	"lockstep/target"
	"lockstep/target/local"
)

// world is one real instance (this machine, in a folder of its own) with the
// real launcher, and a repository in memory.
type world struct {
	t      *testing.T
	root   string
	exec   *Executor
	plan   *lockstep.Plan
	repo   *mem.Repository
	target target.Target
	mu     sync.Mutex
	facts  []lockstep.EventData
	out    []lockstep.StepOutput
}

const theRun = lockstep.RunID("run-1")

func newWorld(t *testing.T, change func(*lockstep.Policy)) *world {
	t.Helper()
	return newWorldOf(t, change, launcher.Config{RunDir: "run", StateDir: "lib"})
}

// eitherWay runs a test in a world whose instance has no helper, and in one in which
// everything is worth it.
func eitherWay(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("shell", func(t *testing.T) { test(t, newWorld(t, nil)) })
	t.Run("helper", func(t *testing.T) {
		w := newWorldOf(t, nil, launcher.Config{RunDir: "run", StateDir: "lib", Programs: launcher.Programs{helpertest.Machine(t): helpertest.Packed(t)}})
		w.exec.worthLending = 0
		test(t, w)
		if !w.exec.cfg.Clients["db/0"].Lent() {
			t.Error("no helper was lent")
		}
	})
}

func newWorldOf(t *testing.T, change func(*lockstep.Policy), cfg launcher.Config) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), repo: mem.New()}
	policy := lockstep.LockstepPolicy()
	policy.KillGrace, policy.AbandonAfter = 200*time.Millisecond, 20*time.Second
	if change != nil {
		change(&policy)
	}
	w.target = local.New(w.root)
	client := launcher.New(w.target, cfg)
	t.Cleanup(func() { client.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := client.Claim(ctx, launcher.ClaimRequest{Key: "k", Owner: "test", Run: string(theRun), Term: 1}); err != nil {
		t.Fatal(err)
	}
	w.exec = New(Config{
		Clients:    map[lockstep.InstanceID]*launcher.Client{"db/0": client},
		Repository: w.repo, Policy: policy,
		Progress: func(lockstep.Progress) {},
		Output:   func(_ lockstep.StepID, o lockstep.StepOutput) { w.mu.Lock(); w.out = append(w.out, o); w.mu.Unlock() },
		Fact:     func(f lockstep.EventData) { w.mu.Lock(); w.facts = append(w.facts, f); w.mu.Unlock() },
	})
	slot := lockstep.Slot{Group: "db", Index: "0", Job: "pg"}
	w.plan = &lockstep.Plan{
		Operation: lockstep.OperationBackup, Deployment: "shop", Backup: "shop_1", Policy: policy,
		Locations: lockstep.Locations{Artifacts: "store", Launcher: "run", Claim: "lib"},
		Artifacts: []lockstep.PlannedArtifact{{Slot: slot, Instance: "db/0", Name: "db-0-pg", Dir: "pg"}},
	}
	return w
}

func (w *world) script(kind lockstep.ScriptKind, text string) *lockstep.Script {
	w.t.Helper()
	path := filepath.Join(w.root, string(kind))
	syscall.ForkLock.RLock() // what is forked while the file is open would keep it busy
	err := os.WriteFile(path, []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(text))
	return &lockstep.Script{Kind: kind, Path: path, Digest: hex.EncodeToString(sum[:])}
}

func (w *world) task(stage lockstep.Stage, script *lockstep.Script) lockstep.Task {
	id := "db/0/pg/" + string(stage)
	s := lockstep.Step{
		ID: lockstep.StepID(id), Stage: stage, Wave: 1, Instance: "db/0", Slot: w.plan.Artifacts[0].Slot,
		Script: script, Artifact: "db-0-pg", Timeout: 20 * time.Second,
	}
	return lockstep.Task{Run: theRun, Term: 1, Plan: w.plan, Step: s, Attempt: 1}
}

func (w *world) do(t lockstep.Task) lockstep.StepFinished {
	return w.exec.Do(w.t.Context(), t, make(chan struct{}))
}

func TestScriptEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if f := w.do(w.task(lockstep.StageLock, w.script(lockstep.ScriptPreBackupLock, "exit 0"))); !f.Outcome.OK() {
		t.Fatalf("script that exits 0: %+v", f)
	}
	bad := w.task(lockstep.StageUnlock, w.script(lockstep.ScriptPostBackupUnlock, "#!/bin/sh\necho out; echo it broke >&2; exit 3"))
	f := w.do(bad)
	if f.Outcome != lockstep.Exited(3) || f.Error != "exit code 3" || f.Said != "it broke" {
		t.Fatalf("script that exits 3: %+v", f)
	}
	if len(w.out) != 2 || string(w.out[0].Head) != "out\n" || string(w.out[1].Head) != "it broke\n" {
		t.Fatalf("kept output: %+v", w.out)
	}
}

//fault:76 a script is changed between plan and run | it is never started: `has changed since it was planned`; for an unlock, `lockstep cleanup` runs it as it is now
func TestScriptChangedSincePlanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	s := w.script(lockstep.ScriptPreBackupLock, "touch ran")
	s.Digest = strings.Repeat("0", 64)
	f := w.do(w.task(lockstep.StageLock, s))
	if f.Outcome.Kind != lockstep.OutcomeNeverStarted || !strings.Contains(f.Error, "has changed since it was planned") {
		t.Fatalf("changed script: %+v", f)
	}
	f = w.do(w.task(lockstep.StageUnlock, s))
	if !strings.Contains(f.Hint, "`lockstep cleanup shop` runs it as it is now") {
		t.Fatalf("changed unlock script: %+v", f)
	}
}

//fault:4 a lock script that ignores TERM | it is killed after the grace: `ran longer than` its limit
func TestScriptStoppedAtItsDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	task := w.task(lockstep.StageLock, w.script(lockstep.ScriptPreBackupLock, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.05; done"))
	task.Step.Timeout = 300 * time.Millisecond
	f := w.do(task)
	if f.Outcome.Kind != lockstep.OutcomeSignal || f.Outcome.Signal != "KILL" || !strings.Contains(f.Error, "ran longer than") {
		t.Fatalf("script past its deadline: %+v", f)
	}
}

func TestScriptStoppedByCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	task := w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, "#!/bin/sh\ntouch started\nexec sleep 60"))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for range 200 {
			if st, err := w.exec.cfg.Clients["db/0"].Status(ctx, refOf(task)); err == nil && st.Running {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel(context.Canceled)
	}()
	f := w.exec.Do(ctx, task, nil)
	if f.Outcome.OK() || f.Outcome.Kind == lockstep.OutcomeExit {
		t.Fatalf("canceled script: %+v", f)
	}
}

// TestArtifactGoesThere collects what a backup script left, proves it, commits
// it, puts it back on an emptied instance, and finds it equal.
func TestArtifactGoesThereAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nset -e\ncd \"$BBR_ARTIFACT_DIRECTORY\"\necho hi > 'a b'\nln 'a b' \"$(printf 'n\\nl')\"\nln -s nowhere link\nmkdir empty\nprintf x > \"$(printf '\\377')\"\n"
	task := w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, script))
	dir := filepath.Join(w.root, "store/pg") + "/"
	task.Env = []string{"BBR_ARTIFACT_DIRECTORY=store/pg/"} // relative, as its location
	if f := w.do(task); !f.Outcome.OK() {
		t.Fatalf("backup script: %+v", f)
	}
	collected := w.do(w.task(lockstep.StageCollect, nil))
	if !collected.Outcome.OK() || collected.Artifact.Entries != 5 {
		t.Fatalf("collect: %+v, artifact %+v", collected, collected.Artifact)
	}
	proof := w.task(lockstep.StageVerify, nil)
	proof.Artifact = collected.Artifact
	if f := w.do(proof); !f.Outcome.OK() {
		t.Fatalf("verify: %+v", f)
	}
	manifest := lockstep.Backup{V: 1, ID: "shop_1", Deployment: "shop", Data: lockstep.DataVerified, Artifacts: []lockstep.Artifact{*collected.Artifact}}
	commit := w.task(lockstep.StageCommit, nil)
	commit.Manifest = &manifest
	if f := w.do(commit); !f.Outcome.OK() {
		t.Fatalf("commit: %+v", f)
	}
	if err := os.RemoveAll(filepath.Join(w.root, "store")); err != nil {
		t.Fatal(err)
	}
	for _, stage := range []lockstep.Stage{lockstep.StageRead, lockstep.StagePlace} {
		back := w.task(stage, nil)
		back.Manifest, back.Artifact = &manifest, collected.Artifact
		if f := w.do(back); !f.Outcome.OK() {
			t.Fatalf("%s: %+v", stage, f)
		}
	}
	if err := w.repo.Damage("shop_1", "db-0-pg", 1500); err != nil {
		t.Fatal(err)
	}
	place := w.task(lockstep.StagePlace, nil)
	place.Manifest, place.Artifact = &manifest, collected.Artifact
	if f := w.do(place); f.Outcome.OK() || !strings.Contains(f.Error, "damaged") {
		t.Errorf("place of a damaged artifact: %+v", f.Outcome)
	}
	place.Step.Proven = true // it says so, and is not proven again: but what it holds is compared
	if f := w.do(place); f.Outcome.OK() {
		t.Errorf("place of a damaged artifact: %+v", f.Outcome)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "n\nl")); err != nil || string(b) != "hi\n" {
		t.Fatalf("file that came back: %q, %v", b, err)
	}
}

//fault:55 a backup script leaves a named pipe | the collect fails and names it; nothing blocks
func TestFIFOIsRefusedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if _, err := w.repo.Begin(t.Context(), "shop_1"); err != nil {
		t.Fatal(err)
	}
	task := w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, "#!/bin/sh\nmkfifo store/pg/pipe"))
	task.Step.Script.Path = filepath.Join(w.root, "backup")
	script := "#!/bin/sh\nmkfifo \"$D\"/pipe\n"
	task = w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, script))
	task.Env = []string{"D=" + filepath.Join(w.root, "store/pg")}
	if f := w.do(task); !f.Outcome.OK() {
		t.Fatalf("backup script: %+v", f)
	}
	f := w.do(w.task(lockstep.StageCollect, nil))
	if f.Outcome.OK() || !strings.Contains(f.Error, "pipe") {
		t.Fatalf("collect of a FIFO: %+v", f)
	}
}

//fault:77 the artifact folder of an earlier run is there | the check refuses before anything is locked: `already exists on instance`
func TestCheckRefusesLeftovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if f := w.do(w.task(lockstep.StageCheck, nil)); !f.Outcome.OK() {
		t.Fatalf("check of a clean instance: %+v", f)
	}
	if err := os.MkdirAll(filepath.Join(w.root, "store"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := w.do(w.task(lockstep.StageCheck, nil))
	if f.Outcome.OK() || !strings.Contains(f.Error, "Directory store already exists on instance db/0") || f.Hint == "" {
		t.Fatalf("check of an instance with leftovers: %+v", f)
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	never := w.task(lockstep.StageLock, w.script(lockstep.ScriptPreBackupLock, "exit 0"))
	if f := w.exec.Settle(t.Context(), never, true); f.Outcome.Kind != lockstep.OutcomeNeverStarted {
		t.Fatalf("settle a script that never started: %+v", f)
	}
	if f := w.do(never); f.Outcome.Kind != lockstep.OutcomeNeverStarted {
		t.Fatalf("start after the tombstone: %+v", f)
	}
	running := w.task(lockstep.StageWork, w.script(lockstep.ScriptBackup, "#!/bin/sh\nexec sleep 60"))
	if _, err := w.exec.cfg.Clients["db/0"].Start(t.Context(), launcher.Step{
		StepRef: refOf(running), Path: running.Step.Script.Path, Digest: running.Step.Script.Digest,
	}); err != nil {
		t.Fatal(err)
	}
	if f := w.exec.Settle(t.Context(), running, true); f.Outcome.Kind != lockstep.OutcomeSignal {
		t.Fatalf("settle a script that runs: %+v", f)
	}
}

//fault:46 a script prints 4 MB | the first 256 KiB and the last MiB are kept, the rest counted
func TestOutputKeepsHeadAndTail(t *testing.T) {
	o := &output{}
	var all []byte
	for i := range 40 {
		chunk := []byte(strings.Repeat(string(rune('a'+i%26)), 100_003))
		all = append(all, chunk...)
		o.write(launcher.Stderr, chunk)
	}
	kept := o.kept(1)
	if len(kept) != 1 || kept[0].Stream != "stderr" {
		t.Fatalf("kept: %d streams", len(kept))
	}
	k := kept[0]
	if string(k.Head) != string(all[:keepHead]) || string(k.Tail) != string(all[len(all)-keepTail:]) || k.Dropped != int64(len(all)-keepHead-keepTail) {
		t.Fatalf("head %d, tail %d, dropped %d", len(k.Head), len(k.Tail), k.Dropped)
	}
	if got := o.lastWords(5); got != cut+string(all[len(all)-5:]) {
		t.Fatalf("the last words are %q", got)
	}
}

func TestLastWordsAreWholeLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		said string
		most int
		want string
	}{
		{"\n  disk full\n\n", 100, "disk full"},
		{"one line\ntwo lines\n", 100, "one line\ntwo lines"},
		{"one line\ntwo lines\n", 12, cut + "\ntwo lines"},
		{"one line\ntwo lines\n", 9, cut + "\ntwo lines"},
		{"one line\ntwo lines\n", 5, cut + "lines"},
	} {
		o := &output{}
		o.write(launcher.Stderr, []byte(tt.said))
		if got := o.lastWords(tt.most); got != tt.want {
			t.Errorf("the last %d bytes of %q: %q, want %q", tt.most, tt.said, got, tt.want)
		}
	}
}

func TestUnlockStopsWhatWasGivenUpOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	lock := w.task(lockstep.StageLock, w.script(lockstep.ScriptPreBackupLock, "#!/bin/sh\nexec sleep 60"))
	c := w.exec.cfg.Clients["db/0"]
	if _, err := c.Start(t.Context(), launcher.Step{StepRef: refOf(lock), Path: lock.Step.Script.Path, Digest: lock.Step.Script.Digest}); err != nil {
		t.Fatal(err)
	}
	unlock := w.task(lockstep.StageUnlock, w.script(lockstep.ScriptPostBackupUnlock, "exit 0"))
	unlock.Stop = []lockstep.Attempt{{Step: lock.Step, N: 1}}
	if f := w.do(unlock); !f.Outcome.OK() {
		t.Fatalf("unlock: %+v", f)
	}
	if status, err := c.Status(t.Context(), refOf(lock)); err != nil || status.Running {
		t.Fatalf("the lock script that was given up on: %+v, %v", status, err)
	}
}

func TestLettingGoStopsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	task := w.task(lockstep.StageUnlock, w.script(lockstep.ScriptPostBackupUnlock, "#!/bin/sh\nexec sleep 60"))
	c := w.exec.cfg.Clients["db/0"]
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan lockstep.StepFinished, 1)
	go func() { ended <- w.exec.Do(ctx, task, nil) }()
	for range 1000 {
		if s, err := c.Status(t.Context(), refOf(task)); err == nil && s.Running {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel(lockstep.ErrLetGo)
	<-ended
	if s, err := c.Status(t.Context(), refOf(task)); err != nil || !s.Running {
		t.Fatalf("the script was stopped: %+v, %v", s, err)
	}
	if _, err := c.Kill(t.Context(), refOf(task), 0); err != nil {
		t.Fatal(err)
	}
}

// TestRestoreThatDoesNotFit: an instance with less room than its artifact needs
// is named by the check, before anything is placed or locked.
//
//fault:59 the artifact disk of the instance is smaller than what is restored | the check refuses and says how much is needed and free; nothing was placed
func TestRestoreThatDoesNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.plan.Operation = lockstep.OperationRestore
	task := w.task(lockstep.StageCheck, nil)
	task.Manifest = &lockstep.Backup{Artifacts: []lockstep.Artifact{{Name: "db-0-pg", Bytes: 1 << 60}}}
	f := w.do(task)
	if f.Outcome.OK() || !strings.Contains(f.Error, "instance db/0") || f.Hint == "" {
		t.Fatalf("check of an instance without room: %+v", f)
	}
	if _, err := os.Stat(filepath.Join(w.root, "store")); err == nil {
		t.Error("the artifact folder was made")
	}
	task.Manifest.Artifacts[0].Bytes = 1
	if f := w.do(task); !f.Outcome.OK() {
		t.Errorf("check of an instance with room: %+v", f)
	}
}
