package repository

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"lockstep"
)

// Verify reads an artifact of a committed backup to its end and compares every
// entry with what the backup recorded. It returns how many bytes it read.
// What it found wrong wraps ErrCorrupt. If not nil, read is set to the bytes
// read so far as it goes.
func Verify(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, read *atomic.Int64) (int64, error) {
	content, err := readBack(ctx, r, id, want.Name, read)
	if err != nil {
		return content.Bytes, fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
	}
	if want.Digest == "" {
		return content.Bytes, verifyForeign(ctx, r, id, want.Name, content.Entries)
	}
	if got := content.Entries.Digest(); got == want.Digest && content.Bytes == want.Bytes {
		// A restore needs the recorded list too.
		if _, err := r.Entries(ctx, id, want.Name); err != nil {
			return content.Bytes, fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
		}
		return content.Bytes, nil
	}
	return content.Bytes, fmt.Errorf("verify artifact %q of backup %q: %s: %w",
		want.Name, id, whatDiffers(ctx, r, id, want, content), ErrCorrupt)
}

func readBack(ctx context.Context, r Repository, id lockstep.BackupID, name string, read *atomic.Int64) (Content, error) {
	stream, err := r.Open(ctx, id, name)
	if err != nil {
		return Content{}, err
	}
	defer stream.Close()
	if read == nil {
		read = new(atomic.Int64)
	}
	entries, n, err := ReadTarContext(ctx, &countingReader{ctx: ctx, r: stream, n: read})
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrCorrupt) {
		err = errors.Join(err, ErrCorrupt)
	}
	return Content{Bytes: n, Entries: entries}, err
}

// whatDiffers names the first entries that are not as recorded.
func whatDiffers(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, got Content) string {
	entries, err := r.Entries(ctx, id, want.Name)
	if err != nil {
		return err.Error()
	}
	return Summarize(entries.Differences(got.Entries, false))
}

// Summarize names the first three of several differences, and how many more
// there are.
func Summarize(diffs []lockstep.Difference) string {
	text := ""
	for i, d := range diffs {
		if i == 3 {
			return fmt.Sprintf("%s and %d more", text, len(diffs)-3)
		}
		if i > 0 {
			text += ", "
		}
		text += d.String()
	}
	if text == "" {
		return "its length is not the recorded one"
	}
	return text
}

// verifyForeign compares the content of files with the checksums that another
// program recorded.
func verifyForeign(ctx context.Context, r Repository, id lockstep.BackupID, name string, got lockstep.EntryList) error {
	f, ok := r.(Foreign)
	if !ok {
		return fmt.Errorf("verify artifact %q of backup %q: no digest is recorded: %w", name, id, ErrCorrupt)
	}
	want, err := f.Checksums(ctx, id, name)
	if err != nil {
		return fmt.Errorf("verify artifact %q of backup %q: %w", name, id, err)
	}
	for _, e := range got {
		if e.Type != lockstep.EntryFile {
			continue
		}
		if want["./"+e.Path] != hex.EncodeToString(e.Sum[:]) {
			return fmt.Errorf("verify artifact %q of backup %q: checksums don't match for %q: %w", name, id, "./"+e.Path, ErrCorrupt)
		}
		delete(want, "./"+e.Path)
	}
	for path := range want {
		if e, ok := got.Find(path); !ok || e.Type == lockstep.EntryFile {
			return fmt.Errorf("verify artifact %q of backup %q: %q is missing: %w", name, id, path, ErrCorrupt)
		}
	}
	return nil
}

// countingReader ends with its context and says how far it is.
type countingReader struct {
	ctx context.Context
	r   io.Reader
	n   *atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
