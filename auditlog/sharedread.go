package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"lockstep"
)

// maxLook is how many records are read for one page.
const maxLook = 5000

// Read implements Reader. A cursor is the number of a record.
func (s *Shared) Read(ctx context.Context, q Query) (Page, error) {
	p := Page{Records: []Record{}}
	before := int64(math.MaxInt64)
	if q.Cursor != "" {
		at, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || at < 1 {
			return p, &lockstep.Error{Kind: lockstep.KindUsage, Op: "read audit log", Err: errors.New("the cursor is none that a page gave")}
		}
		before = at
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, maxPage)
	for looked := 0; ; {
		lines, err := s.lines.Before(ctx, before, maxPage)
		if err != nil {
			return p, fmt.Errorf("read audit log: %w", err)
		}
		for _, line := range lines {
			r, err := readRecord(line)
			if err != nil {
				return p, fmt.Errorf("read audit log: a line is not a record: %w", err)
			}
			before = r.N
			if q.matches(r) {
				p.Records = append(p.Records, r)
			}
			if looked++; r.N > 1 && (len(p.Records) >= q.Limit || looked >= maxLook) {
				p.Next = strconv.FormatInt(r.N, 10)
				return p, nil
			}
		}
		if len(lines) < maxPage {
			return p, nil
		}
	}
}

// Verify implements Reader. Without a key in trust, those are taken that hosts have
// left beside their heads, which whoever could change the log could change too.
func (s *Shared) Verify(ctx context.Context, trust Trust) (Report, error) {
	r := Report{Problems: []string{}}
	heads, err := r.sharedHeads(ctx, s.lines, trust)
	if err != nil {
		return r, fmt.Errorf("verify audit log: %w", err)
	}
	lines, write := io.Pipe()
	go func() {
		write.CloseWithError(s.lines.All(ctx, func(line []byte) error {
			_, err := write.Write(append(bytes.Clone(line), '\n'))
			return err
		}))
	}()
	defer lines.Close()
	if err := r.chain(ctx, lines, heads); err != nil {
		return r, fmt.Errorf("verify audit log: %w", err)
	}
	r.OK = len(r.Problems) == 0
	return r, nil
}

// sharedHeads are all heads that a trusted key verifies, by the number of records.
func (r *Report) sharedHeads(ctx context.Context, lines Lines, trust Trust) (map[int64][]Head, error) {
	kept, keys, err := lines.Heads(ctx)
	if err != nil {
		return nil, err
	}
	if key := strings.TrimSpace(trust.Key); key != "" {
		keys = []string{key}
	}
	var verifiers []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(strings.TrimSpace(key))
		if err != nil {
			return nil, fmt.Errorf("read the key that verifies: %w", err)
		}
		verifiers = append(verifiers, v)
	}
	shipped, err := trust.heads()
	if err != nil {
		return nil, err
	}
	notes := make([][]byte, 0, len(kept)+len(shipped))
	for _, n := range kept {
		notes = append(notes, []byte(n))
	}
	return r.readHeads(append(notes, shipped...), func(n []byte) (Head, error) { return readAnyHead(n, verifiers) }), nil
}

// readAnyHead reads a head that one of the keys has signed.
func readAnyHead(signed []byte, verifiers []note.Verifier) (h Head, err error) {
	err = errors.New("no key is known")
	for _, v := range verifiers {
		if h, err = ReadHead(signed, v); err == nil {
			return h, nil
		}
	}
	return h, err
}
