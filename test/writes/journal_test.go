package writes

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
	"lockstep/journal/journaltest"
	"lockstep/journal/sqlite"
	"lockstep/test/writes/oplog"
)

var cuts = flag.Int("cuts", 250, "how many cuts, of the journal and of the repository each")

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// reserve is the size of the journal's reserve.
const reserve = 8 << 20

// scratchFolder is in memory where it can be: nothing there must be durable.
func scratchFolder(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "lockstep-writes-"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// spareReserve is a journal's reserve, for links to it.
func spareReserve(t *testing.T) string {
	t.Helper()
	path := filepath.Join(scratchFolder(t), "reserve")
	if err := os.WriteFile(path, make([]byte, reserve), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writeJournal lets a real journal live: it is opened and closed, and takes
// events of several runs in batches. What Append has returned for is
// acknowledged: the run and its last number.
func writeJournal(t *testing.T, dir string) []oplog.Op {
	t.Helper()
	ctx := context.Background()
	record.begin(dir)
	r := rand.New(rand.NewPCG(1, 2))
	stories := map[lockstep.RunID]*journaltest.Story{}
	for range 4 {
		j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for range 12 {
			run := lockstep.RunID(fmt.Sprintf("run-%d", r.IntN(3)))
			var batch []lockstep.Event
			if stories[run] == nil {
				stories[run] = journaltest.NewStory(run, lockstep.DeploymentKey("key-"+run))
				batch = stories[run].Begun(lockstep.OperationBackup, 2)
			}
			for range 1 + r.IntN(3) {
				batch = append(batch, stories[run].Event(lockstep.Noted{Level: "info", Message: strings.Repeat("x", r.IntN(6000))}))
			}
			if err := j.Append(ctx, batch...); err != nil {
				t.Fatal(err)
			}
			record.ack(fmt.Sprintf("%s %d", run, batch[len(batch)-1].Seq))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return record.end()
}

// TestJournalAfterALossOfPower cuts the life of a journal after every operation
// on its files, keeps of what was not synced nothing, all, or some sectors, and
// opens what is left: every event that was acknowledged is there, of a batch that
// was not yet all or nothing, and nothing is said to be lost.
//
//fault:22 power is lost at every write and sync of the journal, with any part of what was not synced | every record that was told is there; of the transaction under way all or nothing
func TestJournalAfterALossOfPower(t *testing.T) {
	ops := writeJournal(t, filepath.Join(t.TempDir(), "state"))
	syncs, done := 0, 0
	disk := &oplog.Disk{}
	acked := map[string]uint64{}
	next := nextAcks(ops)
	base := filepath.Dir(spareReserve(t))
	for n, op := range ops {
		disk.Do(op)
		if op.Kind == oplog.Sync {
			syncs++
		}
		if op.Kind == oplog.Ack {
			run, seq := parseAck(t, op.Note)
			acked[run] = seq
		}
		for ; done < *cuts*(n+1)/len(ops); done++ {
			left := disk.Crash(rand.New(rand.NewPCG(uint64(n), uint64(done))))
			if err := openLeft(base, left, acked, next[n]); err != nil {
				t.Fatalf("cut %d, after operation %d of %d (%s %s): %v", done, n, len(ops), op.Kind, op.Path, err)
			}
		}
	}
	if syncs < 50 {
		t.Errorf("only %d syncs: nothing was tested", syncs)
	}
	t.Logf("%d cuts over %d operations, %d of them syncs", done, len(ops), syncs)
}

// nextAcks is, for each operation, what is acknowledged next: a batch that may
// be there already.
func nextAcks(ops []oplog.Op) []string {
	next := make([]string, len(ops))
	for n := len(ops) - 2; n >= 0; n-- {
		if next[n] = next[n+1]; ops[n+1].Kind == oplog.Ack {
			next[n] = ops[n+1].Note
		}
	}
	return next
}

func parseAck(t *testing.T, note string) (run string, seq uint64) {
	t.Helper()
	if _, err := fmt.Sscanf(note, "%s %d", &run, &seq); err != nil {
		t.Fatal(err)
	}
	return run, seq
}

// openLeft opens the journal as the next process would. A journal of which
// nothing was acknowledged may be anything but silently wrong.
func openLeft(base string, left map[string][]byte, acked map[string]uint64, next string) (err error) {
	dir := filepath.Join(base, "state")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := errors.Join(os.Mkdir(dir, 0o700), oplog.Lay(dir, left)); err != nil {
		return err
	}
	// Every journal has its reserve; to make one takes longer than all the rest.
	if err := os.Link(filepath.Join(base, "reserve"), filepath.Join(dir, "reserve")); err != nil {
		return err
	}
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer j.Close()
	if lost, err := j.Lost(ctx, ""); err != nil || len(lost) > 0 { // the heads say more than is durable
		return errors.Join(err, fmt.Errorf("lost are %+v", lost))
	}
	for n := range 3 {
		run := fmt.Sprintf("run-%d", n)
		events, err := j.Events(ctx, lockstep.RunID(run), 0) // a gap is an error
		if err != nil {
			return err
		}
		if has := uint64(len(events)); has != acked[run] && fmt.Sprintf("%s %d", run, has) != next {
			return fmt.Errorf("%s has %d events, %d were acknowledged; next is %q", run, has, acked[run], next)
		}
	}
	return nil
}
