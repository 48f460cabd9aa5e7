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
	switch {
	case err != nil:
	case want.Digest == "":
		err = verifyForeign(ctx, r, id, want.Name, content.Entries)
	default:
		err = compare(ctx, r, id, want, content)
		if err == nil {
			// A restore needs the recorded list too.
			_, err = r.Entries(ctx, id, want.Name)
		}
	}
	if err != nil {
		err = fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
	}
	return content.Bytes, err
}

// compare says whether what was read is what was recorded.
func compare(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, got Content) error {
	if got.Entries.Digest() == want.Digest && got.Bytes == want.Bytes {
		return nil
	}
	return fmt.Errorf("%s: %w", whatDiffers(ctx, r, id, want, got), ErrCorrupt)
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
	return Content{Bytes: n, Entries: entries}, unreadable(ctx, err)
}

// unreadable is an error of reading an artifact, which wraps ErrCorrupt unless
// it was given up.
func unreadable(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrCorrupt) {
		err = errors.Join(err, ErrCorrupt)
	}
	return err
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
		return fmt.Errorf("no digest is recorded: %w", ErrCorrupt)
	}
	want, err := f.Checksums(ctx, id, name)
	if err != nil {
		return err
	}
	for _, e := range got {
		if e.Type != lockstep.EntryFile {
			continue
		}
		if want["./"+e.Path] != hex.EncodeToString(e.Sum[:]) {
			return fmt.Errorf("checksums don't match for %q: %w", "./"+e.Path, ErrCorrupt)
		}
		delete(want, "./"+e.Path)
	}
	for path := range want {
		if e, ok := got.Find(path); !ok || e.Type == lockstep.EntryFile {
			return fmt.Errorf("%q is missing: %w", path, ErrCorrupt)
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
