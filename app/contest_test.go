package app

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
)

// crossing are two orchestrators that begin at once: the older one has claimed a
// and is refused on b before the younger one, which has claimed b, asks for a.
func crossing(t *testing.T) (older, younger *App, begin func(lockstep.Request) (*lockstep.Run, *lockstep.Run)) {
	t.Helper()
	s := twoInstances(t)
	claimed := func(id string) func() bool {
		return func() bool { _, err := os.Stat(filepath.Join(s.root, id, "lib", "claim")); return err == nil }
	}
	asks, asked := claimAsked()
	view := func(other string, wait func(context.Context) error, to func(target.Target) target.Target) *shop {
		v := *s
		v.wrap = func(id string, real target.Target) target.Target {
			if id != other {
				return real
			}
			return way{to(real), wait}
		}
		return &v
	}
	older = newApp(t, view("b", func(context.Context) error {
		waitFor(t, claimed("b"))
		return nil
	}, asks))
	younger = newApp(t, view("a", func(ctx context.Context) error {
		waitFor(t, claimed("a"))
		select {
		case <-asked:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, func(real target.Target) target.Target { return real }))
	return older, younger, func(req lockstep.Request) (*lockstep.Run, *lockstep.Run) {
		req.Operation, req.Deployment = lockstep.OperationBackup, "shop"
		one, err := older.Start(t.Context(), lockstep.Request{Operation: req.Operation, Deployment: "shop", ID: newRunID(time.Now().Add(-time.Second))})
		if err != nil {
			t.Fatal(err)
		}
		two, err := younger.Start(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		older.Close()
		younger.Close()
		unlocked(t, s)
		nothingLeft(t, s)
		return ended(t, older, one), ended(t, younger, two)
	}
}

// claimAsked gives a target that tells when a claim has been asked over it, and
// enough time has passed for an answer.
func claimAsked() (over func(target.Target) target.Target, asked <-chan struct{}) {
	done := make(chan struct{})
	var once sync.Once
	tell := func() { once.Do(func() { time.AfterFunc(500*time.Millisecond, func() { close(done) }) }) }
	return func(to target.Target) target.Target { return listened{to, tell} }, done
}

// listened is a target whose control sessions are listened to.
type listened struct {
	target.Target
	claimed func()
}

func (l listened) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	if streams.Stdin != nil {
		streams.Stdin = &claimReader{streams.Stdin, l.claimed}
	}
	return l.Target.Run(ctx, command, streams)
}

type claimReader struct {
	io.Reader
	claimed func()
}

func (r *claimReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if bytes.Contains(p[:n], []byte(" claim ")) {
		r.claimed()
	}
	return n, err
}

func ended(t *testing.T, a *App, id lockstep.RunID) *lockstep.Run {
	t.Helper()
	r, err := a.Run(t.Context(), id)
	if err != nil || r.Ending == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	return r
}

// TestTwoThatBeginAtOnce: each has claimed what the other needs. The older one
// gets it all, the younger one says who is at work.
//
//fault:two-begin-at-once two orchestrators claim the same instances in the same second | the older run goes on, the younger ends with the other's id and owner
func TestTwoThatBeginAtOnce(t *testing.T) {
	t.Parallel()
	_, _, begin := crossing(t)
	first, second := begin(lockstep.Request{})
	if first.Ending.State != lockstep.RunSucceeded {
		t.Errorf("the older one: %+v", first.Ending)
	}
	if e := second.Ending; e.State != lockstep.RunFailedState || !strings.Contains(e.Error, string(first.ID)) || !strings.Contains(e.Hint, "--wait") {
		t.Errorf("the younger one: %+v", e)
	}
}

// TestTwoThatBeginAtOnceAndOneWaits: the younger one begins when the older one
// has ended.
func TestTwoThatBeginAtOnceAndOneWaits(t *testing.T) {
	t.Parallel()
	_, _, begin := crossing(t)
	first, second := begin(lockstep.Request{Wait: true})
	if first.Ending.State != lockstep.RunSucceeded || second.Ending.State != lockstep.RunSucceeded {
		t.Fatalf("%+v, %+v", first.Ending, second.Ending)
	}
	if !second.PlannedAt.After(first.EndedAt.Add(-time.Second)) {
		t.Error("the younger one did not wait")
	}
	var told bool
	for _, n := range second.Notes {
		told = told || strings.Contains(n.Message, "waits for run "+string(first.ID))
	}
	if !told {
		t.Errorf("nobody is told whom it waits for: %+v", second.Notes)
	}
}
