package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/api"
	"lockstep/api/client"
)

// event is the written form of event n of a run of last events.
func event(t *testing.T, n, last int) string {
	t.Helper()
	e := lockstep.Event{V: 1, Run: "r", Seq: uint64(n), Term: 1, Time: time.Unix(int64(n), 0).UTC(), Data: lockstep.Noted{Level: "info", Message: fmt.Sprint(n)}}
	switch n {
	case 1:
		e.Data = lockstep.RunOpened{Operation: lockstep.OperationCheck, Deployment: "shop"}
	case last:
		e.Data = lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunSucceeded}}
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", n, e.Data.EventType(), data)
}

func newClient(t *testing.T, h http.HandlerFunc, lost func(error, time.Duration)) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{URL: srv.URL, Token: "secret", Lost: lost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestEvents_GoOnWhereTheyStopped(t *testing.T) {
	const last = 12
	var connections, lost atomic.Int64
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		after, err := strconv.Atoi(r.URL.Query().Get("after"))
		if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("asked after %q with %q", r.URL.Query().Get("after"), r.Header.Get("Authorization"))
		}
		n := connections.Add(1)
		if n == 3 { // a proxy between, whose server is away
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for seq := after + 1; seq <= last; seq++ {
			if seq == after+4 { // broken off in the middle of an event
				_, _ = w.Write([]byte(event(t, seq, last)[:20]))
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write([]byte(event(t, seq, last)))
			if n == 2 {
				problem, _ := json.Marshal(api.ProblemOf(&lockstep.Error{Kind: lockstep.KindUnavailable, Err: errors.New("it stops")}))
				_, _ = fmt.Fprintf(w, ": a comment\n\nevent: problem\ndata: %s\n\n", problem)
				return
			}
		}
	}, func(error, time.Duration) { lost.Add(1) })
	var got []uint64
	for e, err := range c.Events(t.Context(), "r", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e.Seq); len(got) > last {
			break
		}
	}
	if fmt.Sprint(got) != "[1 2 3 4 5 6 7 8 9 10 11 12]" {
		t.Errorf("got %v", got)
	}
	if lost.Load() != connections.Load()-1 || lost.Load() < 4 {
		t.Errorf("told %d times of %d connections", lost.Load(), connections.Load())
	}
}

func TestEvents_EndWithAnErrorThatTheServerMeans(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find run", Err: errors.New("there is none"), Hint: "look"})
	}, nil)
	for _, err := range c.Events(t.Context(), "r", 0) {
		if lockstep.KindOf(err) != lockstep.KindNotFound || err.Error() != "find run: there is none" || lockstep.HintOf(err) != "look" {
			t.Errorf("got %v, hint %q", err, lockstep.HintOf(err))
		}
	}
}

func TestEvents_EndWithTheirContext(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(event(t, 1, 9)))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Events(ctx, "r", 0) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("ended with %v", last)
	}
}

// transport answers without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A server that never comes back is given up on, an hour after it was last heard.
func TestEvents_GiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c, err := client.New(client.Config{URL: "https://backup.example.com", Transport: transport(func(*http.Request) (*http.Response, error) {
			if asked++; asked == 1 || asked == 100 { // once more it answers in between
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(io.MultiReader(
					strings.NewReader(event(t, 1, 9)), iotest.ErrReader(errors.New("broken off"))))}, nil
			}
			return nil, errors.New("nobody listens")
		})})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for _, err = range c.Events(t.Context(), "r", 0) {
		}
		if lockstep.KindOf(err) != lockstep.KindUnavailable || !strings.Contains(err.Error(), "nobody listens") ||
			!strings.Contains(lockstep.HintOf(err), "`lockstep --server https://backup.example.com runs watch r`") || strings.Contains(lockstep.HintOf(err), "soon") {
			t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
		}
		if took := time.Since(began); asked < 100 || took < 70*time.Minute || took > 3*time.Hour {
			t.Errorf("it was asked %d times in %s", asked, took)
		}
	})
}

//fault:31 the answer to a start is lost | it is asked again under the same key, and one run begins
func TestStart_IsAskedAgainUnderTheSameKey(t *testing.T) {
	var mu sync.Mutex
	var keys []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		n := len(keys)
		mu.Unlock()
		if n == 2 || n == 3 {
			panic(http.ErrAbortHandler) // it may have begun
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"id":"r1"}`))
	}, nil)
	for range 2 {
		if id, err := c.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}); id != "r1" || err != nil {
			t.Fatalf("%q, %v", id, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(keys) != 4 || keys[0] == keys[1] || keys[1] != keys[2] || keys[2] != keys[3] || len(keys[0]) < 16 {
		t.Errorf("keys %q", keys)
	}
}

func TestForget_IsNotAskedAgain(t *testing.T) {
	var asked atomic.Int64
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(`{"items":[]}`))
			return
		}
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}, nil)
	if _, err := c.Deployments(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := c.Forget(t.Context(), "b")
	if lockstep.KindOf(err) != lockstep.KindUnavailable || !strings.Contains(lockstep.HintOf(err), "whether it was done is not known") || asked.Load() != 1 {
		t.Errorf("asked %d times: %v, %s", asked.Load(), err, lockstep.HintOf(err))
	}
}

func TestOpenArtifact_HalfATarIsNoEnd(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 10_000))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, nil)
	tar, err := c.OpenArtifact(t.Context(), "b", "a")
	if err != nil {
		t.Fatal(err)
	}
	defer tar.Close()
	buf := make([]byte, 1<<16)
	n := 0
	for err == nil {
		var m int
		m, err = tar.Read(buf)
		n += m
	}
	if n > 10_000 || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("%d bytes, then %v", n, err)
	}
}

func TestNew_RefusesWhatIsNotSafe(t *testing.T) {
	for url, want := range map[string]lockstep.Kind{
		"":                              lockstep.KindUsage,
		"backup.example.com":            lockstep.KindUsage,
		"ftp://backup.example.com":      lockstep.KindUsage,
		"https://me:secret@example.com": lockstep.KindUsage,
		"http://backup.example.com":     lockstep.KindRefused,
		"https://backup.example.com/":   lockstep.KindInternal,
		"http://[::1]:7420":             lockstep.KindInternal,
		"http://localhost:7420":         lockstep.KindInternal,
	} {
		if _, err := client.New(client.Config{URL: url, Token: "secret"}); lockstep.KindOf(err) != want || (err != nil) != (want != "") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("it was asked, with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}, nil)
	if _, err := c.Deployments(t.Context()); err == nil {
		t.Error("no error")
	}
}

// Who asks the wrong way is told the right one.
func TestAsk_SaysHowToReachAServerWithTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	for url, want := range map[string]string{
		"http" + strings.TrimPrefix(s.URL, "https"): "begin the URL with https://",
		s.URL: "this host must know who signed it",
	} {
		c, err := client.New(client.Config{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Run(t.Context(), "x")
		if hint := lockstep.HintOf(err); !strings.Contains(hint, want) {
			t.Errorf("%s: %v, hint %q; want %q", url, err, hint, want)
		}
	}
}
