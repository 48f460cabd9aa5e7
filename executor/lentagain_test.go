package executor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep"
	"lockstep/helper"
	"lockstep/helper/helpertest"
	"lockstep/launcher"
	"lockstep/target"
)

// ending is a target where a verb ends with a status, as often as is said.
type ending struct {
	target.Target
	verb  string
	says  string
	code  int
	times int32
	ran   atomic.Int32
}

func (e *ending) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if strings.Contains(command, "'"+e.verb+"'") && e.ran.Add(1) <= e.times {
		_, _ = io.WriteString(streams.Stdout, e.says)
		return target.Exit{Code: e.code}, nil
	}
	return e.Target.Run(ctx, command, streams)
}

// endingBy has the world's instance reached over that target, by a client of its own.
func (w *world) endingBy(t *testing.T, way *ending) *ending {
	t.Helper()
	way.Target = w.target
	c := launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib", Programs: launcher.Programs{helpertest.Machine(t): helpertest.Packed(t)}})
	t.Cleanup(func() { c.Close() })
	w.exec.cfg.Clients["db/0"] = c
	return way
}

// TestATransferGoesOnByTheShell where the helper was killed, once.
//
//fault:helper-killed the helper is killed while it reads or writes an artifact, as by a kernel without memory | the transfer is begun anew, by the shell; what is kept is whole
func TestATransferGoesOnByTheShell(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"lent-pack", "lent-list", "lent-in"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			w := lentWorld(t, nil, helpertest.Machine(t))
			w.exec.worthLending = 0
			way := w.endingBy(t, &ending{verb: verb, says: helper.Magic, code: 137, times: 1})
			f := w.do(w.task(lockstep.StageCollect, nil))
			if !f.Outcome.OK() {
				t.Fatalf("%+v", f)
			}
			proof := w.task(lockstep.StageVerify, nil)
			proof.Artifact = f.Artifact
			if f = w.do(proof); !f.Outcome.OK() {
				t.Fatalf("%+v", f)
			}
			if f := w.placed(t, f.Artifact); !f.Outcome.OK() {
				t.Fatalf("%+v", f)
			}
			if b, _ := os.ReadFile(filepath.Join(w.root, "store/pg/f")); len(b) != 1<<20 {
				t.Errorf("%d bytes", len(b))
			}
			if n := way.ran.Load(); n > 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// TestNoHelperForEver: who says again and again that there is none is not asked for ever.
//
//fault:helper-gone-for-ever an instance says at each try of a restore that it has no helper | the artifact is sent once more; then the step fails
func TestNoHelperForEver(t *testing.T) {
	t.Parallel()
	w := lentWorld(t, nil, helpertest.Machine(t))
	f := w.do(w.task(lockstep.StageCollect, nil))
	if !f.Outcome.OK() {
		t.Fatalf("%+v", f)
	}
	way := w.endingBy(t, &ending{verb: "place-in", code: 98, times: 10})
	if f := w.placed(t, f.Artifact); f.Outcome.OK() || way.ran.Load() != 2 {
		t.Errorf("after %d tries: %+v", way.ran.Load(), f)
	}
}
