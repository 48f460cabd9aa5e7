package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"lockstep"
	"lockstep/spill"
)

// Verify reads an artifact of a committed backup to its end and compares every
// entry with what the backup recorded. It returns how many bytes it read.
// What it found wrong wraps ErrCorrupt. If not nil, read is set to the bytes
// read so far as it goes.
func Verify(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, read *atomic.Int64) (int64, error) {
	entries, n, err := readBack(ctx, r, id, want.Name, read)
	if err == nil {
		err = judge(ctx, r, id, want, entries, n)
		entries.Close()
	}
	if err != nil {
		err = fmt.Errorf("verify artifact %q of backup %q: %w", want.Name, id, err)
	}
	return n, err
}

func judge(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, got *spill.List, n int64) error {
	if want.Digest == "" {
		return verifyForeign(ctx, r, id, want, got)
	}
	if err := compare(ctx, r, id, want, got, n); err != nil {
		return err
	}
	recorded, err := r.Entries(ctx, id, want.Name) // a restore needs it too
	recorded.Close()
	return err
}

// Damage reports whether an error of reading a backup says that its data is
// damaged, rather than that it could not be read here and now.
func Damage(err error) bool {
	if !errors.Is(err, ErrCorrupt) {
		return false
	}
	for _, passing := range []error{
		ErrUnavailable, spill.ErrSpill, fs.ErrPermission, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EINTR, syscall.ESTALE,
	} {
		if errors.Is(err, passing) {
			return false
		}
	}
	return true
}

// ChecksumsDigest is the digest of the checksums that another program recorded
// of an artifact, as "checksums:<hex>".
func ChecksumsDigest(sums map[string]string) string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(h, "%d %s%s\n", len(path), path, sums[path])
	}
	return "checksums:" + hex.EncodeToString(h.Sum(nil))
}

// compare says whether what was read is what was recorded.
func compare(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, got *spill.List, n int64) error {
	if got.Digest() == want.Digest && n == want.Bytes {
		return nil
	}
	return fmt.Errorf("%s: %w", whatDiffers(ctx, r, id, want, got), ErrCorrupt)
}

func readBack(ctx context.Context, r Repository, id lockstep.BackupID, name string, read *atomic.Int64) (*spill.List, int64, error) {
	stream, err := r.Open(ctx, id, name)
	if err != nil {
		return nil, 0, err
	}
	defer stream.Close()
	if read == nil {
		read = new(atomic.Int64)
	}
	entries, n, err := ReadTar(ctx, &countingReader{ctx: ctx, r: stream, n: read})
	return entries, n, unreadable(ctx, err)
}

// unreadable is an error of reading an artifact, which wraps ErrCorrupt unless
// it was given up, or its list could not be kept here.
func unreadable(ctx context.Context, err error) error {
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, spill.ErrSpill) {
		err = errors.Join(err, ErrCorrupt)
	}
	return err
}

// whatDiffers names the first entries that are not as recorded.
func whatDiffers(ctx context.Context, r Repository, id lockstep.BackupID, want lockstep.Artifact, got *spill.List) string {
	entries, err := r.Entries(ctx, id, want.Name)
	if err != nil {
		return err.Error()
	}
	defer entries.Close()
	diffs, err := spill.Compare(entries, got, false)
	if err != nil {
		return err.Error()
	}
	return Summarize(diffs)
}

// Summarize names the first of several differences, and how many more there are.
func Summarize(diffs spill.Differences) string {
	text := ""
	for i, d := range diffs.First {
		if i > 0 {
			text += ", "
		}
		text += d.String()
	}
	if text == "" {
		return "its length is not the recorded one"
	}
	if more := diffs.Count - len(diffs.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// verifyForeign compares the content of files with the checksums that another
// program recorded.
func verifyForeign(ctx context.Context, r Repository, id lockstep.BackupID, a lockstep.Artifact, got *spill.List) error {
	f, ok := r.(Foreign)
	if !ok {
		return fmt.Errorf("no digest is recorded: %w", ErrCorrupt)
	}
	want, err := f.Checksums(ctx, id, a.Name)
	if err != nil {
		return err
	}
	if a.Checksums != "" && a.Checksums != ChecksumsDigest(want) {
		return fmt.Errorf("its checksums were changed since: %w", ErrCorrupt)
	}
	for e, err := range got.All() {
		if err != nil {
			return err
		}
		if e.Type != lockstep.EntryFile {
			continue
		}
		if want["./"+e.Path] != hex.EncodeToString(e.Sum[:]) {
			return fmt.Errorf("checksums don't match for %q: %w", "./"+e.Path, ErrCorrupt)
		}
		delete(want, "./"+e.Path)
	}
	for path := range want {
		if e, ok, err := got.Find(strings.TrimPrefix(path, "./")); err != nil {
			return err
		} else if !ok || e.Type == lockstep.EntryFile {
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
