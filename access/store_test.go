package access

import (
	"context"
	"testing"
	"time"

	journal "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
)

// clock is a clock that stands still until it is moved.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) forward(d time.Duration) { c.at = c.at.Add(d) }

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(context.Background(), journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Close(), j.Close() })
	return s
}

var anAdmin = Principal{Name: "root", Kind: KindToken, Grants: []Grant{{RoleAdmin, "*"}}}

func asAdmin() context.Context { return WithPrincipal(context.Background(), anAdmin) }
