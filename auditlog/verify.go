package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Report is what verifying a log found.
type Report struct {
	OK      bool   `json:"ok"`
	Records int64  `json:"records"`
	Hash    string `json:"hash,omitempty"` // of the last record
	// Heads is how many signed heads were checked, and Signed how many records
	// the last of them vouches for.
	Heads  int   `json:"heads"`
	Signed int64 `json:"signed"`
	// Torn is how many bytes of an unfinished record are at the end; that is not
	// a problem: nothing was done for it.
	Torn int64 `json:"torn_bytes,omitempty"`
	// NoHead is how many bytes among the folder's heads are of none that is whole:
	// a process died as it signed, or somebody changed them.
	NoHead int `json:"no_head_bytes,omitempty"`
	// Problems name what does not fit, one sentence each.
	Problems []string `json:"problems"`
}

// maxProblems is how many are named.
const maxProblems = 20

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Trust is what a log is verified against.
type Trust struct {
	// Key is the verifier's key, as in key.pub. If it is "", the folder's own
	// is taken, which whoever could change the log could change too.
	Key string
	// Heads are signed heads that were kept elsewhere, as text with anything
	// between them.
	Heads []byte
}

// Verify reads the whole log in a folder, by nothing but what is in its files:
// the chain, and every signed head. The error is of the reading.
func Verify(ctx context.Context, dir string, trust Trust) (Report, error) {
	r := Report{Problems: []string{}}
	heads, err := r.heads(dir, trust)
	if err != nil {
		return r, fmt.Errorf("verify audit log %s: %w", dir, err)
	}
	f, err := os.Open(filepath.Join(dir, recordsFile))
	if err != nil {
		return r, fmt.Errorf("verify audit log: %w", err)
	}
	defer f.Close()
	if err := r.chain(ctx, f, heads); err != nil {
		return r, fmt.Errorf("verify audit log %s: %w", dir, err)
	}
	r.OK = len(r.Problems) == 0
	return r, nil
}

// heads are all that the key verifies, by the number of records.
func (r *Report) heads(dir string, trust Trust) (map[int64][]Head, error) {
	key := strings.TrimSpace(trust.Key)
	if key == "" {
		b, err := os.ReadFile(filepath.Join(dir, pubFile))
		if err != nil {
			return nil, err
		}
		key = strings.TrimSpace(string(b))
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("read the key that verifies: %w", err)
	}
	own, err := os.ReadFile(filepath.Join(dir, headsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	shipped, err := trust.heads()
	if err != nil {
		return nil, err
	}
	whole := splitNotes(own, true)
	r.NoHead = len(own)
	for _, n := range whole {
		r.NoHead -= len(n) + len("\n")
	}
	return r.readHeads(slices.Concat(whole, shipped), func(n []byte) (Head, error) { return ReadHead(n, v) }), nil
}

// heads are those that were given to compare with.
func (t Trust) heads() ([][]byte, error) {
	heads := splitNotes(t.Heads, false)
	if len(heads) == 0 && len(bytes.TrimSpace(t.Heads)) > 0 {
		return nil, errors.New("what was given as signed heads has none in it")
	}
	return heads, nil
}

// readHeads reads signed heads, by the number of records that each is about. One that
// cannot be read is a problem.
func (r *Report) readHeads(notes [][]byte, read func([]byte) (Head, error)) map[int64][]Head {
	heads := map[int64][]Head{}
	for i, n := range notes {
		h, err := read(n)
		if err != nil {
			r.problem("signed head %d of %d: %v", i+1, len(notes), err)
			continue
		}
		r.Heads++
		r.Signed = max(r.Signed, h.N)
		heads[h.N] = append(heads[h.N], h)
	}
	return heads
}

// chain reads the records. After a break it goes on from what is there, to
// name further ones.
func (r *Report) chain(ctx context.Context, records io.Reader, heads map[int64][]Head) error {
	lines := bufio.NewReaderSize(records, maxLine)
	var prev hash
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			r.Torn = int64(len(line))
			r.end(prev, heads)
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.problem("record %d: its line is longer than any that was written", r.Records+1)
			return nil
		case err != nil:
			return err
		}
		line = line[:len(line)-1]
		r.Records++
		r.record(line, prev)
		prev = sha256.Sum256(line)
		for _, h := range heads[r.Records] {
			if h.Hash != prev.String() {
				r.problem("record %d: its hash is not the one that was signed on %s", r.Records, h.Time.Format("2006-01-02 15:04:05Z"))
			}
		}
		if r.Records%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (r *Report) record(line []byte, prev hash) {
	rec, err := readRecord(line)
	switch {
	case err != nil:
		r.problem("line %d is not a record", r.Records)
	case rec.N != r.Records:
		r.problem("line %d has record %d: records were removed, added or moved", r.Records, rec.N)
	case rec.Prev != prev.String():
		r.problem("record %d does not follow on the one before it: that one was changed, or this one", rec.N)
	}
}

// end compares with the heads that signed more than there is.
func (r *Report) end(last hash, heads map[int64][]Head) {
	if r.Records > 0 {
		r.Hash = last.String()
	}
	if r.Signed > r.Records {
		r.problem("%d records were signed and %d are there: the end was cut off", r.Signed, r.Records)
	}
}
