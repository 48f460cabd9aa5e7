package docker

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/target"
	"lockstep/target/docker"
)

// silent is a machine whose engine takes every request and answers none.
type silent struct{}

func (silent) RoundTrip() time.Duration { return 0 }
func (silent) Close() error             { return nil }

func (silent) Run(ctx context.Context, _ string, s target.Streams) (target.Exit, error) {
	go func() { _, _ = io.Copy(io.Discard, s.Stdin) }()
	<-ctx.Done()
	return target.Exit{}, context.Cause(ctx)
}

// TestAnEngineThatDoesNotAnswer is asked for as long as listTimeout, and no longer:
// what is elsewhere waits to be unlocked.
func TestAnEngineThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made, err := New(specification())
		if err != nil {
			t.Fatal(err)
		}
		engine, err := docker.Open(docker.Config{Host: "ssh://h"}, silent{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		found, err := made.find(t.Context(), engine)
		if err == nil || found != nil || !strings.Contains(err.Error(), "no answer within 30s") {
			t.Errorf("got %v, %v", found, err)
		}
		if took := time.Since(began); took != listTimeout {
			t.Errorf("it took %s", took)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
