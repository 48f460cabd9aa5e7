//go:build pgtest

package postgres_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/internal/pgtest"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/postgres"
)

// place is a database and the state folder of one host.
type place struct{ url, dir string }

func newPlace(t *testing.T) place { return place{pgtest.URL(t), filepath.Join(t.TempDir(), "heads")} }

func (p place) open(t *testing.T) *postgres.Journal {
	t.Helper()
	j, err := postgres.Open(context.Background(), postgres.Options{Database: pgtest.Parse(t, p.url), Heads: p.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestConformance(t *testing.T) {
	t.Parallel()
	journaltest.Run(t, func(t *testing.T) journaltest.Store {
		p := newPlace(t)
		return journaltest.Store{
			Open: func(t *testing.T) journal.Journal { return p.open(t) },
			Future: func(t *testing.T, run lockstep.RunID, envelope []byte) {
				if err := p.open(t).PutRaw(context.Background(), run, envelope); err != nil {
					t.Fatal(err)
				}
			},
			Damage: func(t *testing.T, run lockstep.RunID, seq uint64) {
				pgtest.Unguarded(t, p.url, `UPDATE journal_events SET body = convert_to(replace(convert_from(body, 'UTF8'), '2026', '2027'), 'UTF8')
					WHERE run = (SELECT n FROM journal_runs WHERE id = $1) AND seq = $2`, string(run), int64(seq))
			},
			Lose: func(t *testing.T, run lockstep.RunID, after uint64) { p.lose(t, run, after) },
		}
	})
}

// lose makes the journal what it was before the events above a number.
func (p place) lose(t *testing.T, run lockstep.RunID, after uint64) {
	t.Helper()
	j := p.open(t)
	events, err := j.Events(context.Background(), run, 0)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string][]byte{}
	heads, err := filepath.Glob(filepath.Join(p.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range heads {
		if kept[path], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Unguarded(t, p.url, `DELETE FROM journal_events WHERE run = (SELECT n FROM journal_runs WHERE id = $1)`, string(run))
	pgtest.Unguarded(t, p.url, `DELETE FROM journal_runs WHERE id = $1`, string(run))
	if after > 0 {
		if err := j.Append(context.Background(), events[:after]...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for path, b := range kept {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
