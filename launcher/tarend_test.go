package launcher

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/target"
)

// TestTheEndComesAfterTar: tar ends with the record that has the archive's end in it,
// and may have ended before the reader says that this was all, or that it was not.
// What the reader says counts.
func TestTheEndComesAfterTar(t *testing.T) {
	t.Parallel()
	changed := errors.New("it is not what was recorded")
	for name, c := range map[string]struct {
		rest io.Reader
		want string
	}{
		"well":      {strings.NewReader(""), ""},
		"padding":   {bytes.NewReader(make([]byte, 100_000)), ""},
		"not well":  {errReader{changed}, changed.Error()},
		"unbounded": {zeros{}, "goes on after its end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			ended := &endOfTar{Target: i.target, ended: make(chan struct{})}
			client := New(ended, Config{RunDir: "run/lockstep", StateDir: "var/lockstep"})
			t.Cleanup(func() { _ = client.Close() })
			from := filepath.Join(i.dir, "from")
			tree(t, from)
			var archive bytes.Buffer
			if err := i.TarOut(i.ctx(), from, 0, &archive); err != nil || archive.Len()%(32<<10) != 0 {
				t.Fatalf("%d bytes, %v", archive.Len(), err)
			}
			err := client.Place(i.ctx(), filepath.Join(i.dir, "to"), io.MultiReader(&archive, afterwards{ended.ended, c.rest}), ignored)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestTheEndThatDoesNotCome is not waited for when nobody wants it any more.
func TestTheEndThatDoesNotCome(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	ended := &endOfTar{Target: i.target, ended: make(chan struct{})}
	client := New(ended, Config{RunDir: "run/lockstep", StateDir: "var/lockstep"})
	t.Cleanup(func() { _ = client.Close() })
	from := filepath.Join(i.dir, "from")
	tree(t, from)
	var archive bytes.Buffer
	if err := i.TarOut(i.ctx(), from, 0, &archive); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(i.ctx())
	go func() {
		<-ended.ended
		cancel(enough)
	}()
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	if err := client.Place(ctx, filepath.Join(i.dir, "to"), io.MultiReader(&archive, afterwards{never, strings.NewReader("")}), ignored); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// endOfTar says when tar has ended on the instance.
type endOfTar struct {
	target.Target
	ended chan struct{}
}

func (e *endOfTar) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	exit, err := e.Target.Run(ctx, command, streams)
	if strings.Contains(command, "place-in") {
		// A moment after this has returned, so that who does not wait for it is found.
		time.AfterFunc(20*time.Millisecond, func() { close(e.ended) })
	}
	return exit, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// afterwards is read after something has happened.
type afterwards struct {
	what <-chan struct{}
	io.Reader
}

func (a afterwards) Read(p []byte) (int, error) {
	<-a.what
	return a.Reader.Read(p)
}
