package cli

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/serve"
	"lockstep/show/showtest"
)

// started begins a command line in another goroutine.
func started(t *testing.T, f *fakeService, signals chan os.Signal, args ...string) (out *lockedBuffer, errs *lockedBuffer, ended chan int) {
	t.Helper()
	out, errs, ended = &lockedBuffer{}, &lockedBuffer{}, make(chan int, 1)
	p := Program{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: errs, Signals: signals,
		Now: func() time.Time { return showtest.Begin.Add(time.Minute) },
		Setup: Setup{Open: func(context.Context, serve.Options) (serve.Orchestrator, error) {
			return serve.Orchestrator{Service: f}, nil
		}},
	}
	ctx := t.Context()
	go func() { ended <- p.Run(ctx, args) }()
	return out, errs, ended
}

// until waits for a text to be written.
func until(t *testing.T, b *lockedBuffer, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.String(), text); {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not written; this was:\n%s", text, b)
		}
		time.Sleep(time.Millisecond)
	}
}

//fault:21 SIGINT, and a second one | the run is canceled and unlocked; the second says what is still locked, and unlocking goes on
func TestFirstSignalCancelsAndStaysUntilUnlocked(t *testing.T) {
	t.Parallel()
	f := newFake()
	work, unlock := make(chan struct{}), make(chan struct{})
	f.play.Hangs["db/0/postgres/backup"] = work
	f.play.Hangs["web/0/web/post-backup-unlock"] = unlock
	signals := make(chan os.Signal, 8)
	out, errs, ended := started(t, f, signals, "backup", "shop")

	until(t, errs, "work: 2 steps")
	signals <- syscall.SIGINT
	until(t, errs, "canceling")
	until(t, errs, "unlock 2/2: 1 step")
	signals <- syscall.SIGINT
	until(t, errs, "still locked: web/0/web; still unlocking")
	select {
	case code := <-ended:
		t.Fatalf("ended with %d while something was locked", code)
	default:
	}
	close(unlock)
	if code := <-ended; code != lockstep.ExitError {
		t.Errorf("exit code %d, want %d", code, lockstep.ExitError)
	}
	if f.cancels != 1 {
		t.Errorf("canceled %d times, want once", f.cancels)
	}
	for _, want := range []string{"state        canceled", "locks        released"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

func TestWatchingNeverCancels(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Open(lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	f.play.Drive("db/0/postgres/backup")
	signals := make(chan os.Signal, 8)
	_, errs, ended := started(t, f, signals, "runs", "watch", "0198c0de-0001")
	until(t, errs, "work: 2 steps")
	signals <- syscall.SIGTERM
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if f.cancels != 0 {
		t.Error("watching canceled the run")
	}
	if !strings.Contains(errs.String(), "no longer watching; the run goes on") {
		t.Errorf("it does not say so:\n%s", errs)
	}
}

func TestEndOfTheCallersContextCancels(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.play.Hangs["db/0/postgres/backup"] = make(chan struct{})
	var errs, out lockedBuffer
	p := Program{Stdout: &out, Stderr: &errs, Setup: Setup{Open: func(context.Context, serve.Options) (serve.Orchestrator, error) {
		return serve.Orchestrator{Service: f}, nil
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- p.Run(ctx, []string{"backup", "shop"}) }()
	until(t, &errs, "work: 2 steps")
	cancel()
	if code := <-ended; code != lockstep.ExitError {
		t.Errorf("exit code %d, want %d", code, lockstep.ExitError)
	}
	if !strings.Contains(out.String(), "locks        released") {
		t.Errorf("it did not wait for unlock:\n%s", out.String())
	}
}

func TestWatchingEndsWithTheOrchestrator(t *testing.T) {
	t.Parallel()
	r := runWith(t, leftBehind(), nil, "runs", "watch", "0198c0de-0001")
	if r.code != lockstep.ExitHeld || !strings.Contains(r.stderr, "nobody drives it any more\nhint: `lockstep recover shop`") {
		t.Errorf("got:\n%s", r)
	}
}
