package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"lockstep"
)

// Query narrows a page of records. Empty fields do not narrow.
type Query struct {
	// Cursor is Next of the page before.
	Cursor string
	// Limit is how many at most; 0 is 50.
	Limit                  int
	By, Action, Deployment string
	Object                 string
}

// Page are records, newest first.
type Page struct {
	Records []Record `json:"records"`
	// Next is the cursor of the next page, "" on the last one. A page may be
	// empty and have a next one: of long logs only a part is searched at once.
	Next string `json:"next,omitempty"`
}

const (
	maxPage = 500
	// maxSearch is how much of the file is read for one page.
	maxSearch = 8 << 20
)

func (q Query) matches(r Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	return is(q.By, r.By) && is(q.Action, r.Action) && is(q.Deployment, r.Deployment) && is(q.Object, r.Object)
}

// Read gives one page of the log in a folder. It verifies nothing. A line that
// is not a record is passed over: Verify tells of it.
func Read(ctx context.Context, dir string, q Query) (Page, error) {
	p := Page{Records: []Record{}}
	f, err := os.Open(filepath.Join(dir, recordsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read audit log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return p, fmt.Errorf("read audit log: %w", err)
	}
	end := info.Size()
	if q.Cursor != "" {
		at, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil || at < 1 || at > end {
			return p, &lockstep.Error{Kind: lockstep.KindUsage, Op: "read audit log", Err: errors.New("the cursor was not given by a page")}
		}
		end = at
	}
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, maxPage)
	if err := p.fill(ctx, &backwards{r: f, begin: end}, q); err != nil {
		return p, fmt.Errorf("read audit log %s: %w", dir, err)
	}
	return p, nil
}

func (p *Page) fill(ctx context.Context, lines *backwards, q Query) error {
	for searched := int64(0); ; {
		line, at, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if r, err := readRecord(line); err == nil && q.matches(r) {
			p.Records = append(p.Records, r)
		}
		searched += int64(len(line))
		if at > 0 && (len(p.Records) >= q.Limit || searched >= maxSearch) {
			p.Next = strconv.FormatInt(at, 10)
			return nil
		}
	}
}

// backwards reads the lines of a file from its end. What follows the last
// newline is not a line.
type backwards struct {
	r     io.ReaderAt
	begin int64 // where buf begins in the file
	buf   []byte
	began bool
}

// next is the line before the last one that it gave, and where that begins.
// The line is good until next is called again.
func (b *backwards) next() (line []byte, at int64, _ error) {
	for {
		if end := len(b.buf) - 1; end >= 0 && (b.began || bytes.IndexByte(b.buf, '\n') >= 0) {
			if !b.began { // leave out what is unfinished
				end = bytes.LastIndexByte(b.buf, '\n')
				b.buf, b.began = b.buf[:end+1], true
			}
			if start := bytes.LastIndexByte(b.buf[:end], '\n') + 1; start > 0 || b.begin == 0 {
				line = b.buf[start:end]
				b.buf = b.buf[:start]
				return line, b.begin + int64(start), nil
			}
		}
		if b.begin == 0 {
			return nil, 0, io.EOF
		}
		if len(b.buf) > 2*maxLine {
			return nil, 0, errors.New("a line is longer than any that was written")
		}
		if err := b.more(); err != nil {
			return nil, 0, err
		}
	}
}

// more puts what is before into buf.
func (b *backwards) more() error {
	n := min(b.begin, maxLine)
	buf := make([]byte, n, n+int64(len(b.buf)))
	if _, err := b.r.ReadAt(buf, b.begin-n); err != nil {
		return err
	}
	b.buf, b.begin = append(buf, b.buf...), b.begin-n
	return nil
}
