package targettest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/target"
)

func separateStreams(t *testing.T, tgt target.Target) {
	r := do(t, tgt, "echo out; echo err >&2", "")
	wantExit(t, r, target.Exit{})
	if r.stdout != "out\n" || r.stderr != "err\n" {
		t.Errorf("stdout %q, stderr %q", r.stdout, r.stderr)
	}
	// Nil writers discard.
	exit, err := tgt.Run(t.Context(), "echo out; echo err >&2; exit 4", target.Streams{})
	wantExit(t, result{exit: exit, err: err}, target.Exit{Code: 4})
}

func emptyStdin(t *testing.T, tgt target.Target) {
	var out bytes.Buffer
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	exit, err := tgt.Run(ctx, "wc -c", target.Streams{Stdout: &out})
	wantExit(t, result{exit: exit, err: err}, target.Exit{})
	if got := strings.TrimSpace(out.String()); got != "0" {
		t.Errorf("command read %s bytes from a nil stdin", got)
	}
}

func quoting(t *testing.T, tgt target.Target) {
	words := []string{"a b", "it's", "$HOME", "`id`", "new\nline", `back\slash`, "\xff\xfe", "", "*", "-n"}
	r := do(t, tgt, "printf '%s|' "+target.QuoteAll(words...), "")
	wantExit(t, r, target.Exit{})
	if want := strings.Join(words, "|") + "|"; r.stdout != want {
		t.Errorf("got %q, want %q", r.stdout, want)
	}
}

// bigStreams sends more than any window or buffer holds, both ways at once.
func bigStreams(t *testing.T, tgt target.Target) {
	data := noise(6 << 20)
	var out, errs bytes.Buffer
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	exit, err := tgt.Run(ctx, "cat; exit 7", target.Streams{
		Stdin: bytes.NewReader(data), Stdout: &out, Stderr: &errs,
	})
	wantExit(t, result{exit: exit, err: err}, target.Exit{Code: 7})
	if !bytes.Equal(out.Bytes(), data) {
		t.Errorf("%d bytes went out, %d came back, not the same", len(data), out.Len())
	}

	out.Reset()
	exit, err = tgt.Run(ctx, "cat >&2", target.Streams{Stdin: bytes.NewReader(data), Stdout: &out, Stderr: &errs})
	wantExit(t, result{exit: exit, err: err}, target.Exit{})
	if !bytes.Equal(errs.Bytes(), data) || out.Len() != 0 {
		t.Errorf("%d bytes went out, %d came back on stderr, %d on stdout", len(data), errs.Len(), out.Len())
	}
}

// slowReader holds back the first write for longer than any drain grace, so
// that the command has ended long before its output is taken.
func slowReader(t *testing.T, tgt target.Target) {
	var out bytes.Buffer
	slow := writerFunc(func(p []byte) (int, error) {
		if out.Len() == 0 {
			time.Sleep(1500 * time.Millisecond)
		}
		return out.Write(p)
	})
	r := await(t, start(t.Context(), tgt, "head -c 1000000 /dev/zero", target.Streams{Stdout: slow}))
	wantExit(t, r, target.Exit{})
	if out.Len() != 1000000 {
		t.Errorf("got %d bytes of 1000000", out.Len())
	}
}

func unreadStdin(t *testing.T, tgt target.Target) {
	data := noise(8 << 20)
	r := await(t, start(t.Context(), tgt, "exit 3", target.Streams{Stdin: bytes.NewReader(data)}))
	wantExit(t, r, target.Exit{Code: 3})
	r = await(t, start(t.Context(), tgt, "head -c 5 >/dev/null; exit 6", target.Streams{Stdin: bytes.NewReader(data)}))
	wantExit(t, r, target.Exit{Code: 6})
}

func endlessStdin(t *testing.T, tgt target.Target) {
	blocked, release := io.Pipe()
	defer release.Close()
	r := await(t, start(t.Context(), tgt, "exit 5", target.Streams{Stdin: blocked}))
	wantExit(t, r, target.Exit{Code: 5})
}

// failingStdin: an input that broke off is not an input that ended.
func failingStdin(t *testing.T, tgt target.Target) {
	broken := errors.New("source broke")
	in := io.MultiReader(strings.NewReader("some"), readerFunc(func([]byte) (int, error) { return 0, broken }))
	r := await(t, start(t.Context(), tgt, "cat >/dev/null; sleep 1", target.Streams{Stdin: in}))
	wantLost(t, r, broken)
}

func closedStdout(t *testing.T, tgt target.Target) {
	r := do(t, tgt, "exec >&- 2>&-; cat >/dev/null; exit 9", string(noise(3<<20)))
	wantExit(t, r, target.Exit{Code: 9})
}

func failingWriter(t *testing.T, tgt target.Target) {
	full := errors.New("disk full")
	w := writerFunc(func([]byte) (int, error) { return 0, full })
	r := await(t, start(t.Context(), tgt, "echo hello; sleep 60", target.Streams{Stdout: w}))
	wantLost(t, r, full)
	r = await(t, start(t.Context(), tgt, "echo hello >&2; sleep 60", target.Streams{Stderr: w}))
	wantLost(t, r, full)
}

// cancelBlocked cancels while the command reads nothing, writes much, and
// nobody takes what it writes.
func cancelBlocked(t *testing.T, tgt target.Target) {
	ctx, stop := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	release := make(chan struct{})
	defer close(release)
	var once sync.Once
	entered := make(chan struct{})
	stuck := writerFunc(func(p []byte) (int, error) {
		once.Do(func() { close(entered) })
		<-release
		return len(p), nil
	})
	done := start(ctx, tgt, "cat /dev/zero", target.Streams{
		Stdin: bytes.NewReader(noise(8 << 20)), Stdout: stuck,
	})
	<-entered
	stop(reason)
	wantLost(t, await(t, done), reason)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
