package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/serve"
	"lockstep/show/showtest"
)

// openTerminal opens a pseudo-terminal of 100 x 30: the side that a person
// sees and types at, and the side of the program.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetUint32(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	size := &unix.Winsize{Row: 30, Col: 100}
	if err := unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	return person, program
}

// atTerminal begins a command line whose stdin and stderr are a terminal.
func atTerminal(t *testing.T, f *fakeService, signals chan os.Signal, args ...string) (seen, out *lockedBuffer, person *os.File, ended chan int) {
	t.Helper()
	person, program := openTerminal(t)
	seen, out, ended = &lockedBuffer{}, &lockedBuffer{}, make(chan int, 1)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := person.Read(b)
			if err != nil {
				return
			}
			_, _ = seen.Write(b[:n])
		}
	}()
	p := Program{
		Stdin: program, Stdout: out, Stderr: program, Signals: signals, Env: []string{"TERM=xterm-256color"},
		Setup: Setup{Open: func(context.Context, serve.Options) (serve.Orchestrator, error) {
			return serve.Orchestrator{Service: f}, nil
		}},
	}
	ctx := t.Context()
	go func() { ended <- p.Run(ctx, args) }()
	return seen, out, person, ended
}

func TestRestoreAsksForTheName(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{"shop\n": 0, "yes\n": lockstep.ExitError, "\n": lockstep.ExitError} {
		t.Run(strings.TrimSpace(answer), func(t *testing.T) {
			t.Parallel()
			f := newFake()
			seen, _, person, ended := atTerminal(t, f, nil, "restore", "shop", "latest")
			until(t, seen, "to go on: ")
			if !strings.Contains(seen.String(), string(showtest.Kept().ID)) || !strings.Contains(seen.String(), " ago)") {
				t.Errorf("it does not say what would be replaced with what:\n%s", seen)
			}
			if len(f.started) > 0 {
				t.Fatal("it began before it was confirmed")
			}
			if _, err := person.WriteString(answer); err != nil {
				t.Fatal(err)
			}
			if code := <-ended; code != want {
				t.Errorf("exit code %d, want %d; this was shown:\n%s", code, want, seen)
			}
			if (len(f.started) > 0) != (want == 0) {
				t.Errorf("started %v", f.started)
			}
			if want == 0 && (f.started[0].Backup != showtest.Kept().ID || f.started[0].PlanDigest == "") {
				t.Errorf("what was confirmed is not pinned: %+v", f.started[0])
			}
		})
	}
}

func TestSignalAtThePromptChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFake()
	signals := make(chan os.Signal, 1)
	seen, _, _, ended := atTerminal(t, f, signals, "restore", "shop", "latest")
	until(t, seen, "to go on: ")
	signals <- os.Interrupt
	if code := <-ended; code != lockstep.ExitError || len(f.started) > 0 {
		t.Errorf("exit code %d, started %v", code, f.started)
	}
}

func TestLiveViewOnATerminal(t *testing.T) {
	t.Parallel()
	f := newFake()
	work := make(chan struct{})
	f.play.Hangs["db/0/postgres/backup"] = work
	f.play.Fates["files/0/blobs/backup"] = lockstep.StepFinished{Outcome: lockstep.Exited(9)}
	f.output = []lockstep.StepOutput{{Attempt: 1, Stream: "stderr", Head: []byte("what it said last\n")}}
	seen, out, _, ended := atTerminal(t, f, nil, "backup", "shop")
	until(t, seen, "INSTANCE")
	until(t, seen, "locked for")
	close(work)
	if code := <-ended; code != lockstep.ExitError {
		t.Errorf("exit code %d, want %d", code, lockstep.ExitError)
	}
	until(t, seen, "locks released after")
	until(t, seen, "| what it said last")
	if !strings.Contains(out.String(), "locks        released") {
		t.Errorf("no summary on stdout:\n%s", out)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("stdout is not a terminal, yet it has colours: %q", out)
	}
}

func TestTerminalThatTakesNothingKeepsNobodyFromTheEnd(t *testing.T) {
	t.Parallel()
	person, program := openTerminal(t)
	_ = person // nobody reads: the terminal's buffer fills up
	f := newFake()
	f.play.Fates["files/0/blobs/backup"] = lockstep.StepFinished{Outcome: lockstep.Exited(9), Error: strings.Repeat("x", 1<<20)}
	var out lockedBuffer
	p := Program{
		Stdin: program, Stdout: &out, Stderr: program, Env: []string{"TERM=xterm"},
		Setup: Setup{Open: func(context.Context, serve.Options) (serve.Orchestrator, error) {
			return serve.Orchestrator{Service: f}, nil
		}},
	}
	ended := make(chan int, 1)
	go func() { ended <- p.Run(context.Background(), []string{"backup", "shop"}) }()
	until(t, &out, "state        failed")
	_ = person.Close()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it does not end")
	}
}
