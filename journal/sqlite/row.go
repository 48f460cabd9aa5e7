package sqlite

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"lockstep"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
)

// compressAbove is the length of an event from which on it is kept as a gzip
// stream. Only plans of hundreds of instances are that long; they shrink to a
// twentieth.
const compressAbove = 64 << 10

// maxEvent bounds what a gzip stream may grow to.
const maxEvent = 1 << 30

// encode is an event as its row holds it.
func encode(e lockstep.Event) ([]byte, error) {
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

// decode is the inverse of encode. The error wraps lockstep.ErrUnknownEvent for
// an event of a newer program, and journal.ErrDamaged for everything else.
func decode(body []byte) (lockstep.Event, error) {
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

// unpack undoes encode's compression. An envelope is JSON and begins with "{",
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

// nanos is a time as a column holds it, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

// row is a run's row.
type row struct {
	n    int64
	head journal.Head
	// link is that of the last event, nil where no event has one.
	link []byte
}

// scanRow reads n and runColumns. The error wraps journal.ErrDamaged, and the row
// is returned beside it, if it is not as it was written.
func scanRow(from scanner) (row, error) {
	var r row
	h := &r.head
	s := &h.Summary
	var seq, term, planned, started, ended, lockStarted, unlockEnded int64
	var sum []byte
	err := from.Scan(&r.n, &s.ID, &seq, &term, &planned, &s.Key, &s.Deployment, &s.Operation, &s.State, &s.Data, &s.Locks,
		&s.Backup, &started, &ended, &lockStarted, &unlockEnded, &s.LockWindow, &s.Error, &s.ExitCode, &r.link, &sum)
	if err != nil {
		return r, err
	}
	h.Seq, h.Term, h.Planned = uint64(seq), uint64(term), uint64(planned)
	s.StartedAt, s.EndedAt = fromNanos(started), fromNanos(ended)
	h.LockStarted, h.UnlockEnded = fromNanos(lockStarted), fromNanos(unlockEnded)
	if sum != nil && !bytes.Equal(sum, r.sum()) {
		return r, fmt.Errorf("%w: the row of run %q is not what was written", journal.ErrDamaged, s.ID)
	}
	return r, nil
}

// values are runColumns but the sum.
func (r row) values() []any {
	h, s := r.head, r.head.Summary
	return []any{
		string(s.ID), int64(h.Seq), int64(h.Term), int64(h.Planned), string(s.Key), s.Deployment, string(s.Operation),
		string(s.State), string(s.Data), string(s.Locks), string(s.Backup), nanos(s.StartedAt), nanos(s.EndedAt),
		nanos(h.LockStarted), nanos(h.UnlockEnded), s.LockWindow, s.Error, int64(s.ExitCode), r.link,
	}
}

func (r row) sum() []byte { return sqlitedb.RowSum(r.values()...) }

// columns are runColumns.
func (r row) columns() []any { return append(r.values(), r.sum()) }
