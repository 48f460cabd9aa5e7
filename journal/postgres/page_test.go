//go:build pgtest

package postgres

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/internal/pgtest"
)

var manyRows = flag.Int("rows", 100_000, "how many runs the longer list has; make pgtest does not need the million")

// TestAPageOfManyRuns: what a page of a list reads does not grow with the number of
// runs: by a key, a deployment, a state or nothing.
func TestAPageOfManyRuns(t *testing.T) {
	t.Parallel()
	blocks := func(j *Journal, f lockstep.RunFilter) int64 {
		t.Helper()
		query, args := runsQuery(f)
		var plan []byte
		if err := j.pool.QueryRow(context.Background(), `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) `+query, args...).Scan(&plan); err != nil {
			t.Fatal(err)
		}
		var read []struct {
			Plan struct {
				Hit  int64 `json:"Shared Hit Blocks"`
				Read int64 `json:"Shared Read Blocks"`
			}
		}
		if err := json.Unmarshal(plan, &read); err != nil || len(read) != 1 {
			t.Fatal(err, string(plan))
		}
		return read[0].Plan.Hit + read[0].Plan.Read
	}
	few, many := filled(t, 1_000), filled(t, *manyRows)
	for name, f := range map[string]lockstep.RunFilter{
		"all": {}, "key": {Key: "key-7"}, "deployment": {Deployment: "shop"}, "state": {State: lockstep.RunSucceeded},
		"key and operation": {Key: "key-7", Operation: lockstep.OperationBackup}, "a later page": {Deployment: "shop", Before: "run-000000900"},
	} {
		f.Limit = 50
		short, long := blocks(few, f), blocks(many, f)
		if most := int64(f.Limit) + 10; short > most || long > most { // those of the rows, wherever they lie, and of one index
			t.Errorf("%s: a page of %d runs reads %d blocks, one of 1,000 reads %d; want at most %d", name, *manyRows, long, short, most)
		}
		var times [2]time.Duration
		for i, j := range []*Journal{few, many} {
			began := time.Now()
			for range 20 {
				if runs, err := j.readRuns(context.Background(), f); err != nil || len(runs) == 0 {
					t.Fatal(len(runs), err)
				}
			}
			times[i] = time.Since(began) / 20
		}
		t.Logf("%s: %d blocks and %d; %v and %v: %.2f times", name, short, long, times[0], times[1], float64(times[1])/float64(times[0]))
	}
}

// filled is a journal of n ended runs of 10 keys, one in 30 a restore.
func filled(t *testing.T, n int) *Journal {
	t.Helper()
	ctx, url := context.Background(), pgtest.URL(t)
	j, err := Open(ctx, Options{Database: pgtest.Parse(t, url), Heads: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	pgtest.Unguarded(t, url, fmt.Sprintf(`INSERT INTO journal_runs (id, seq, term, planned, key, deployment, operation, state, data, locks, backup, started, ended,
			lock_started, unlock_ended, lock_window, error, exit_code)
		SELECT 'run-' || lpad(i::text, 9, '0'), 9, 1, 2, 'key-' || i %% 10, 'shop', CASE WHEN i %% 30 = 0 THEN 'restore' ELSE 'backup' END,
			'succeeded', 'verified', 'released', 'shop_x', i, i, i, i, 1.0, '', 0 FROM generate_series(1, %d) i`, n))
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, `VACUUM ANALYZE journal_runs`); err != nil {
		t.Fatal(err)
	}
	return j
}
