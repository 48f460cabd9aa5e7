package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target"
	"lockstep/target/local"
)

// saved makes the artifact that the world's backup script would have left.
func (w *world) saved() {
	w.t.Helper()
	dir := filepath.Join(w.root, "store/pg")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("data"), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// forgetful is a target that loses the first session of a verb, and where nobody answers
// for a while then.
type forgetful struct {
	target.Target
	verb   string
	lost   atomic.Bool
	silent atomic.Int32 // how often nobody answers
}

func (f *forgetful) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, "'"+f.verb+"'") && !f.lost.Swap(true) {
		return target.Exit{}, fmt.Errorf("%w: connection reset", target.ErrLost)
	}
	if strings.Contains(command, "'"+f.verb+"'") && f.silent.Add(-1) >= 0 {
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrNotStarted, target.Unreached(errors.New("connection refused")))
	}
	return f.Target.Run(ctx, command, streams)
}

// TestCollectOverALostConnection: the connection took the inventory, or the
// artifact, or both, with it; they are begun anew.
//
//fault:10 the connection dies in the middle of a transfer | the transfer is begun anew; what is kept is whole
func TestCollectOverALostConnection(t *testing.T) {
	t.Parallel()
	overLost(t, 0)
}

// TestCollectWhileNobodyAnswers: what carried the connection dies with it, and takes its
// time to come back: a transfer waits for it, and does not only try it at once.
//
//fault:10 the connection dies in the middle of a transfer, and nobody answers there for a while | the transfer waits, and is begun anew; what is kept is whole
func TestCollectWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	overLost(t, collectTries+1)
}

// TestCollectWhereNobodyAnswersAnyMore: the transfer is given up after the policy's time.
func TestCollectWhereNobodyAnswersAnyMore(t *testing.T) {
	t.Parallel()
	w, way := losing(t, "tar-out", 2<<20, 1<<20)
	w.exec.cfg.Policy.AbandonAfter = 300 * time.Millisecond
	if f := w.do(w.task(lockstep.StageCollect, nil)); f.Outcome.OK() || !strings.Contains(f.Error, "connection refused") || way.silent.Load() > 1<<20-2 {
		t.Errorf("got %+v", f)
	}
}

func overLost(t *testing.T, silent int32) {
	t.Run("inventory", func(t *testing.T) { collectOver(t, "inventory", 2<<20, silent) })
	t.Run("tar-out", func(t *testing.T) { collectOver(t, "tar-out", 2<<20, silent) })
	t.Run("pack", func(t *testing.T) { collectOver(t, "pack", 10, silent) })
}

// losing is a world with an artifact, over a way that loses a verb.
func losing(t *testing.T, verb string, size int, silent int32) (*world, *forgetful) {
	t.Helper()
	w := newWorld(t, nil)
	w.saved()
	if err := os.WriteFile(filepath.Join(w.root, "store", "pg", "more"), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	way := &forgetful{Target: local.New(w.root), verb: verb}
	way.silent.Store(silent)
	w.exec.cfg.Clients["db/0"] = launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib"})
	t.Cleanup(func() { w.exec.cfg.Clients["db/0"].Close() })
	if _, err := w.repo.Begin(t.Context(), w.plan.Backup); err != nil {
		t.Fatal(err)
	}
	return w, way
}

func collectOver(t *testing.T, verb string, size int, silent int32) {
	w, way := losing(t, verb, size, silent)
	collected := w.do(w.task(lockstep.StageCollect, nil))
	if !collected.Outcome.OK() {
		t.Fatalf("collect: %+v", collected)
	}
	verify := w.task(lockstep.StageVerify, nil)
	verify.Artifact = collected.Artifact
	if f := w.do(verify); !f.Outcome.OK() || !way.lost.Load() {
		t.Fatalf("verify: %+v, it was lost: %v", f, way.lost.Load())
	}
}

// severed is a target that can be cut off.
type severed struct {
	target.Target
	off atomic.Bool
}

func (s *severed) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if s.off.Load() {
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrNotStarted, errors.New("no route to host"))
	}
	return s.Target.Run(ctx, command, streams)
}

// TestCollectFromAnInstanceThatIsGone ends long before its own limit.
func TestCollectFromAnInstanceThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	way := &severed{Target: local.New(w.root)}
	c := launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib"})
	if _, err := c.Tools(t.Context()); err != nil {
		t.Fatal(err)
	}
	way.off.Store(true)
	_ = way.Target.Close() // its sessions end
	w.exec.cfg.Clients["db/0"] = c
	w.exec.patience = 50 * time.Millisecond
	task := w.task(lockstep.StageCollect, nil)
	task.Step.Timeout = 24 * time.Hour
	f := w.do(task)
	if f.Outcome != lockstep.Exited(1) || !strings.Contains(f.Error, "cannot be reached for 50ms") {
		t.Fatalf("collect: %+v", f)
	}
}
