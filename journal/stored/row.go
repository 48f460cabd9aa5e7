// Package stored is what a journal's database keeps, whichever database it is: events
// as bytes, each linked to the one before, and the row of a run with its sum. The
// journals read, check and write the same bytes, so that a run can move from one to
// another and be compared there.
package stored

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep"
	"lockstep/internal/rowsum"
	"lockstep/journal"
)

// compressAbove is the length of an event from which on it is kept as a gzip
// stream. Only plans of hundreds of instances are that long; they shrink to a
// twentieth.
const compressAbove = 64 << 10

// maxEvent bounds what a gzip stream may grow to.
const maxEvent = 1 << 30

// Encode is an event as its row holds it.
func Encode(e lockstep.Event) ([]byte, error) {
	if e.Data == nil {
		return nil, fmt.Errorf("append event %d to run %s: it has no data", e.Seq, e.Run)
	}
	body, err := e.MarshalJSON()
	if err != nil || len(body) <= compressAbove {
		return body, err
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Decode is the inverse of Encode. The error wraps lockstep.ErrUnknownEvent for
// an event of a newer program, and journal.ErrDamaged for everything else.
func Decode(body []byte) (lockstep.Event, error) {
	var e lockstep.Event
	body, err := unpack(body)
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	if err != nil && !errors.Is(err, lockstep.ErrUnknownEvent) {
		err = fmt.Errorf("%w: %w", journal.ErrDamaged, err)
	}
	return e, err
}

// unpack undoes Encode's compression. An envelope is JSON and begins with "{",
// a gzip stream does not.
func unpack(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxEvent))
}

// Nanos is a time as a column holds it, 0 for none.
func Nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func FromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// Scanner is a row.
type Scanner interface{ Scan(dest ...any) error }

// Row is a run's row.
type Row struct {
	N    int64
	Head journal.Head
	// link is that of the last event, nil where no event has one.
	Link []byte
}

// Scan reads n and Columns. The error wraps journal.ErrDamaged, and the row
// is returned beside it, if it is not as it was written.
func Scan(from Scanner) (Row, error) {
	var r Row
	h := &r.Head
	s := &h.Summary
	var seq, term, planned, started, ended, lockStarted, unlockEnded int64
	var sum []byte
	err := from.Scan(&r.N, &s.ID, &seq, &term, &planned, &s.Key, &s.Deployment, &s.Operation, &s.State, &s.Data, &s.Locks,
		&s.Backup, &started, &ended, &lockStarted, &unlockEnded, &s.LockWindow, &s.Error, &s.ExitCode, &r.Link, &sum)
	if err != nil {
		return r, err
	}
	h.Seq, h.Term, h.Planned = uint64(seq), uint64(term), uint64(planned)
	s.StartedAt, s.EndedAt = FromNanos(started), FromNanos(ended)
	h.LockStarted, h.UnlockEnded = FromNanos(lockStarted), FromNanos(unlockEnded)
	if sum != nil && !bytes.Equal(sum, r.Sum()) {
		return r, fmt.Errorf("%w: the row of run %q is not what was written", journal.ErrDamaged, s.ID)
	}
	return r, nil
}

// values are Columns but the sum.
// Rows are rows of runs that were asked for.
type Rows interface {
	Scanner
	Next() bool
	Err() error
}

// ScanAll reads the summaries of rows. Damaged are the rows that are not as they were
// written, by their place among runs.
func ScanAll(rows Rows) (runs []lockstep.RunSummary, damaged map[int]Row, err error) {
	damaged = map[int]Row{}
	for rows.Next() {
		r, err := Scan(rows)
		if errors.Is(err, journal.ErrDamaged) {
			damaged[len(runs)], err = r, nil
		}
		if err != nil {
			return nil, nil, err
		}
		runs = append(runs, r.Head.Summary)
	}
	return runs, damaged, rows.Err()
}

// Refold makes the summaries of damaged rows anew, by folding the events of each. One
// that cannot be hides none of the others.
func Refold(runs []lockstep.RunSummary, damaged map[int]Row, fold func(n int64) (Row, error)) {
	for i, r := range damaged {
		if good, err := fold(r.N); err == nil {
			runs[i] = good.Head.Summary
			continue
		}
		runs[i].Error = fmt.Sprintf("%v: what stands here of this run may be wrong", journal.ErrDamaged)
	}
}

func (r Row) values() []any {
	h, s := r.Head, r.Head.Summary
	return []any{
		string(s.ID), int64(h.Seq), int64(h.Term), int64(h.Planned), string(s.Key), s.Deployment, string(s.Operation),
		string(s.State), string(s.Data), string(s.Locks), string(s.Backup), Nanos(s.StartedAt), Nanos(s.EndedAt),
		Nanos(h.LockStarted), Nanos(h.UnlockEnded), s.LockWindow, s.Error, int64(s.ExitCode), r.Link,
	}
}

func (r Row) Sum() []byte { return rowsum.Sum(r.values()...) }

// Values are those of Columns, the sum with them.
func (r Row) Values() []any { return append(r.values(), r.Sum()) }

// Columns are those of the table runs, but for n, in their order.
const Columns = `id, seq, term, planned, key, deployment, operation, state, data, locks, backup,
	started, ended, lock_started, unlock_ended, lock_window, error, exit_code, link, sum`

// HoldSum is the sum of a hold's row.
func HoldSum(h lockstep.Hold) []byte {
	return rowsum.Sum(string(h.Key), h.Slot.Group, h.Slot.Index, h.Slot.Job, string(h.Run), h.Deployment, Nanos(h.Since), h.Restore)
}

// RecordSum is the sum of a record's row.
func RecordSum(r journal.Record) []byte {
	return rowsum.Sum(r.Kind, r.Name, string(r.Data), r.At.UnixNano())
}
