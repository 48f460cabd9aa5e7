package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// carryBatch is how many lines are carried at once.
const carryBatch = 500

// errOther: the two logs do not begin alike.
var errOther = errors.New("the audit log there is another one: it does not begin with the same records")

// CarryTo adds to lines what the log in a folder has beyond them, with its heads, and
// reports how many records both have then. A log that does not verify is refused, and
// so are lines of another one. It may be called again after a failure.
func CarryTo(ctx context.Context, dir string, lines Lines) (int64, error) {
	if _, err := os.Stat(filepath.Join(dir, recordsFile)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	r, err := Verify(ctx, dir, Trust{})
	if err != nil {
		return 0, err
	}
	if !r.OK {
		return 0, fmt.Errorf("verify audit log %s: %s", dir, r.Problems[0])
	}
	have, last, err := lines.Last(ctx)
	if err != nil || have > r.Records {
		return 0, errors.Join(err, errOther)
	}
	if err := carryLines(ctx, dir, lines, have, last); err != nil {
		return 0, err
	}
	return r.Records, carryHeads(ctx, dir, lines)
}

// carryLines reads the folder's records and adds those above have.
func carryLines(ctx context.Context, dir string, lines Lines, have int64, last []byte) error {
	f, err := os.Open(filepath.Join(dir, recordsFile))
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, maxLine)
	var more [][]byte
	flush := func(n int64) error {
		err := lines.AddAll(ctx, n-int64(len(more)), more)
		more = nil
		return err
	}
	for n := int64(1); ; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return flush(n - 1) // what follows is not a whole record
		}
		line = bytes.Clone(line[:len(line)-1])
		switch {
		case n < have:
			continue
		case n == have:
			if !bytes.Equal(line, last) {
				return errOther
			}
			continue
		}
		if more = append(more, line); len(more) == carryBatch {
			if err := flush(n); err != nil {
				return err
			}
		}
	}
}

// carryHeads adds the folder's heads that are not there.
func carryHeads(ctx context.Context, dir string, lines Lines) error {
	notes, _, err := lines.Heads(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, n := range notes {
		there[n] = true
	}
	public, err := os.ReadFile(filepath.Join(dir, pubFile))
	if err != nil {
		return err
	}
	own, err := os.ReadFile(filepath.Join(dir, headsFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	signer, _, err := loadSigner(dir)
	if err != nil {
		return err
	}
	v, err := signer.verifier()
	if err != nil {
		return err
	}
	for _, n := range splitNotes(own, true) {
		h, err := ReadHead(n, v)
		if err != nil || there[string(n)] {
			continue // one of an older key vouches for nothing that can be checked
		}
		if err := lines.AddHead(ctx, h.N, string(n), strings.TrimSpace(string(public))); err != nil {
			return err
		}
	}
	return nil
}

// CarryBack adds to the log in a folder what lines have beyond it, and reports how many
// records both have then. The folder's key signs a head over all of them. It may be
// called again after a failure.
func CarryBack(ctx context.Context, lines Lines, dir string, o Options) (int64, error) {
	s := &Shared{lines: lines}
	if r, err := s.Verify(ctx, Trust{}); err != nil || !r.OK {
		return 0, errors.Join(err, fmt.Errorf("verify the audit log: %s", strings.Join(r.Problems, "; ")))
	}
	l, err := Open(dir, o)
	if err != nil {
		return 0, err
	}
	defer l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	unlock, err := l.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := l.catchUp(); err != nil {
		return 0, err
	}
	had, hash, n := l.tail.n, l.tail.hash, int64(0)
	err = lines.All(ctx, func(line []byte) error {
		if n++; n <= had {
			if n == had && hashOf(line) != hash {
				return errOther
			}
			return nil
		}
		if _, err := l.file.Write(append(bytes.Clone(line), '\n')); err != nil {
			return err
		}
		l.tail = tail{size: l.tail.size + int64(len(line)) + 1, n: n, hash: hashOf(line)}
		return nil
	})
	if err == nil && n < had {
		err = errOther
	}
	return n, errors.Join(err, l.file.Sync())
}
