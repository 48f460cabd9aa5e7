package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/repository"
)

const quiet = time.Minute

// dialed are the two ends of a connection, of which the first one is watched.
func dialed(t *testing.T) (*watched, net.Conn) {
	t.Helper()
	here, there := net.Pipe()
	t.Cleanup(func() { _, _ = here.Close(), there.Close() })
	return &watched{Conn: here, quiet: quiet, began: time.Now()}, there
}

// took is how long do took.
func took(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began)
}

func TestASilentConnectionBreaks(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(net.Conn) (int, error){
		"read":  func(c net.Conn) (int, error) { return c.Read(make([]byte, 9)) },
		"write": func(c net.Conn) (int, error) { return c.Write(make([]byte, 9)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := dialed(t)
			time.Sleep(10 * quiet) // nobody waited for anything
			var err error
			if d := took(func() { _, err = use(c) }); !errors.Is(err, errQuiet) || d != quiet {
				t.Errorf("%s: %v after %s", name, err, d)
			}
		})
	}
}

// TestASlowConnectionIsLeft: a byte now and then is enough, whichever way it goes.
func TestASlowConnectionIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, there := dialed(t)
		go func() {
			for range 100 {
				time.Sleep(quiet - time.Second)
				_, _ = there.Write([]byte("x"))
			}
			_ = there.Close()
		}()
		if b, err := io.ReadAll(c); err != nil || len(b) != 100 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, there := dialed(t)
		go func() {
			for range 100 { // an upload, while the answer is awaited
				time.Sleep(quiet - time.Second)
				_, _ = c.Write([]byte("x"))
			}
		}()
		go func() { _, _ = io.CopyN(io.Discard, there, 100) }()
		var err error
		d := took(func() { _, err = c.Read(make([]byte, 1)) })
		if want := 100*(quiet-time.Second) + quiet; !errors.Is(err, errQuiet) || d != want {
			t.Errorf("%v after %s, want %s", err, d, want)
		}
	})
}

// TestAServiceThatStops in the middle of an answer, or before one, or that takes no
// more of what it is sent, is not waited for without end, and nothing of it is damage.
//
//fault:36 the S3 service stops in the middle of an answer, or takes no more | after a minute the request is sent again; then the operation fails, with the service's address; nothing is called damaged
func TestAServiceThatStops(t *testing.T) {
	var over chan struct{} // a server does not see that a client left whose upload it does not read
	hang := func(http.ResponseWriter, *http.Request) { <-over }
	half := func(w http.ResponseWriter, r *http.Request) {
		file(w)
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("012"))
		w.(http.Flusher).Flush()
		hang(w, r)
	}
	for name, ask := range map[string]func(s *Store) error{
		"before an answer": func(s *Store) error { _, err := s.Load(t.Context(), "x", 10); return err },
		"in a listing":     func(s *Store) error { _, err := s.List(t.Context(), "x"); return err },
		"in an upload":     func(s *Store) error { return s.Save(t.Context(), "x", make([]byte, 32<<20)) },
		"in an answer":     func(s *Store) error { _, err := s.LoadRange(t.Context(), nil, "x", 0, 10); return err },
	} {
		t.Run(name, func(t *testing.T) {
			over = make(chan struct{})
			s, _ := answering(t, map[bool]http.HandlerFunc{true: half, false: hang}[name == "in an answer"])
			t.Cleanup(func() { close(over) })
			s = again(t, s, func(o *Options) { o.Quiet, o.Retries = 50*time.Millisecond, 1 })
			err := ask(s)
			if err == nil || !strings.Contains(err.Error(), s.o.Endpoint) || !errors.Is(err, repository.ErrUnavailable) || repository.Damage(errors.Join(err, repository.ErrCorrupt)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// again is the store with other options.
func again(t *testing.T, s *Store, change func(*Options)) *Store {
	t.Helper()
	o := s.o
	change(&o)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestATooSlowServiceIsGivenUp: what moves, but so slowly that it would take days.
//
//fault:36 the S3 service takes or gives less than 4 KiB a second | the operation fails and says that
func TestATooSlowServiceIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := bounded(t.Context(), 16<<20)
		defer stop()
		d := took(func() { <-ctx.Done() })
		err := opaque(ctx, fmt.Errorf("read: %w", ctx.Err()))
		if want := floorTime + 4096*time.Second; d != want || !strings.Contains(err.Error(), "slower than 4 KiB/s") {
			t.Errorf("%v after %s, want %s", err, d, want)
		}
	})
}

// TestPatience: a service that has answered is waited for; one that never has, or that
// says no, is not.
//
//fault:36 the S3 service is away for a minute while a backup is written | the backup goes on
func TestPatience(t *testing.T) {
	t.Parallel()
	passes, refuses := unavailable{errors.New("busy"), true}, unavailable{errors.New("forbidden"), false}
	for name, c := range map[string]struct {
		answered bool
		away     time.Duration
		err      error // while it is away
		want     error
		atMost   time.Duration
	}{
		"it comes back":       {true, time.Minute, passes, nil, time.Minute + lastPause},
		"it does not":         {true, time.Hour, passes, passes, defaultPatience},
		"it was never there":  {false, time.Hour, passes, passes, 0},
		"it says no":          {true, time.Hour, refuses, refuses, 0},
		"something is broken": {true, time.Hour, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &Store{patience: defaultPatience}
			s.answered.Store(c.answered)
			back := time.Now().Add(c.away)
			var err error
			d := took(func() {
				err = s.patient(t.Context(), func() error {
					if time.Now().Before(back) {
						return c.err
					}
					return nil
				})
			})
			if err != c.want || d > c.atMost || c.atMost == defaultPatience && d < defaultPatience-lastPause {
				t.Errorf("%s: %v after %s", name, err, d)
			}
			if d := took(func() { err = s.patient(t.Context(), func() error { return passes }) }); c.atMost == defaultPatience && d > 0 {
				t.Errorf("%s: what was waited for in vain is waited for again, for %s", name, d)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &Store{patience: defaultPatience}
		n := 0
		err := s.patient(t.Context(), func() error {
			if n++; n == 2 {
				return passes
			}
			return nil
		})
		if err = errors.Join(err, s.patient(t.Context(), func() error { n++; return map[bool]error{true: passes}[n == 2] })); err != nil || n != 3 {
			t.Errorf("a service that answered before: %v after %d", err, n)
		}
	})
}
