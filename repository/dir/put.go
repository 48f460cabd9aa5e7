package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/spill"
)

const (
	// putChunk is how much is written at once, and the only memory of a Put
	// beside that of ReadTar.
	putChunk = 128 << 10
	// writebackEvery is how often the kernel is asked to write to the medium
	// while the stream still comes in.
	writebackEvery = 8 << 20
)

var putChunks = sync.Pool{New: func() any {
	chunk := make([]byte, putChunk)
	return &chunk
}}

// Put implements repository.Repository. The stream is written to a file and,
// behind the writer, read back from it; what Put returns was derived from the
// bytes read back. That proves that the file holds, in order and whole, what
// was derived: no short or lost write, no wrong offset. It does not prove the
// medium, for the kernel may give back what it still has in memory; a later
// verify, when that memory is gone, does.
func (r *Repository) Put(ctx context.Context, id lockstep.BackupID, name string, in io.Reader) (repository.Content, error) {
	var none repository.Content
	if err := lockstep.CheckName("artifact", name); err != nil {
		return none, err
	}
	dir, err := r.folder(id)
	if err != nil {
		return none, err
	}
	defer dir.Close()
	switch s, err := dir.is(stateStaged, stateCommitted); {
	case err != nil:
		return none, err
	case s == stateCommitted:
		return none, &lockstep.Error{Kind: lockstep.KindConflict, Op: fmt.Sprintf("put artifact %q", name), Err: fmt.Errorf("backup %q is committed", id)}
	}
	content, err := r.stage(ctx, dir, name, in)
	if err != nil {
		return none, r.trouble(fmt.Sprintf("put artifact %q into backup", name), id, err)
	}
	return content, nil
}

// stage receives the stream into partial files and, if all is well, makes
// them the staged artifact.
func (r *Repository) stage(ctx context.Context, dir *folder, name string, in io.Reader) (repository.Content, error) {
	partial, file, err := r.partial(dir, name)
	if err != nil {
		return repository.Content{}, err
	}
	list := "." + partial
	done := false
	defer func() {
		if !done {
			_ = errors.Join(dir.root.Remove(partial), dir.root.Remove(list), dir.root.Remove(list+listSuffix)) // the cause is already on its way up
		}
		r.release(dir.id, partial)
	}()
	seal, err := r.encryption.sealing()
	if err != nil {
		return repository.Content{}, errors.Join(err, file.Close())
	}
	got, err := receive(ctx, file, in, seal)
	defer got.entries.Close()
	if err := errors.Join(err, file.Close()); err != nil {
		return repository.Content{}, err
	}
	content, rec := repository.ContentOf(got.bytes, got.entries), newRecord(name, got)
	if rec.sealed() {
		if err := sealList(ctx, dir, list+listSuffix, &rec, got.entries, seal); err != nil {
			return content, err
		}
	}
	if err := writeStaged(dir, list, rec, got.entries); err != nil {
		return content, err
	}
	if err := ctx.Err(); err != nil {
		return content, context.Cause(ctx)
	}
	faultpoint.Hit("dir.put.before")
	if err := r.replace(dir, rec, partial, list); err != nil {
		return content, err
	}
	done = true
	return content, syncDir(dir.root)
}

// partial makes the file that one Put writes. What a dead process left under
// the name is replaced; what another Put is writing is not.
func (r *Repository) partial(dir *folder, name string) (string, *os.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	partial := name + tarSuffix + ".partial"
	for n := 2; r.partials[string(dir.id)+"/"+partial]; n++ {
		partial = fmt.Sprintf("%s%s.partial%d", name, tarSuffix, n)
	}
	if err := dir.removeAny(partial, "."+partial, "."+partial+listSuffix); err != nil {
		return "", nil, err
	}
	file, err := dir.root.OpenFile(partial, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", nil, err
	}
	r.partials[string(dir.id)+"/"+partial] = true
	return partial, file, nil
}

func (r *Repository) release(id lockstep.BackupID, partial string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.partials, string(id)+"/"+partial)
}

// removeAny removes files that may be there.
func (f *folder) removeAny(names ...string) error {
	for _, name := range names {
		if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// replace makes the synced files the staged artifact of that record. The
// list comes last: where it is, the tar beside it is its own.
func (r *Repository) replace(dir *folder, rec record, partial, list string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := rec.Name
	old, err := dir.has(stagedList(name))
	if err != nil {
		return err
	}
	if old {
		err := errors.Join(r.at("unstage"), dir.root.Remove(stagedList(name)), dir.removeAny(name+tarSuffix, name+sealedSuffix, name+listSuffix), syncDir(dir.root))
		if err != nil {
			return err
		}
	}
	if err := errors.Join(r.at("stage tar"), dir.root.Rename(partial, rec.File)); err != nil {
		return err
	}
	if rec.sealed() {
		if err := errors.Join(r.at("stage entries"), dir.root.Rename(list+listSuffix, rec.ListFile)); err != nil {
			return err
		}
	}
	faultpoint.Hit("dir.put.half")
	return errors.Join(r.at("stage list"), dir.root.Rename(list, stagedList(name)))
}

// received is what came in, as it was read back.
type received struct {
	entries *spill.List
	bytes   int64 // of the stream
	stored  int64 // of the file, and crc its CRC-32C
	crc     uint32
	sealed  bool
}

// receive writes the stream to the file, encrypted if seal says how, reads it back behind
// the writer and returns when the file is on the medium and its content known.
func receive(ctx context.Context, file *os.File, in io.Reader, seal *sealing) (got received, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	back := newReadBack(file)
	var readErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		plain, err := seal.reader(back)
		if err == nil {
			got.entries, got.bytes, err = repository.ReadTar(ctx, plain)
		}
		if readErr = err; err != nil {
			stop(readErr)
		}
	}()
	written, err := write(ctx, file, in, back, seal)
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		stop(err)
		back.end(err)
	}
	<-done
	if err == nil {
		err = readErr
	}
	if err == nil && (got.bytes != written || back.at != back.written) {
		err = fmt.Errorf("%w: %d bytes were written and %d read back", repository.ErrCorrupt, written, got.bytes)
	}
	got.stored, got.crc, got.sealed = back.written, back.crc, seal != nil
	return got, err
}

// write copies the stream, of which it gives the length, to the file and tells back how
// far that has come.
func write(ctx context.Context, file *os.File, in io.Reader, back *readBack, seal *sealing) (written int64, err error) {
	chunk := putChunks.Get().(*[]byte)
	defer putChunks.Put(chunk)
	out, err := seal.writer(&growing{file: file, back: back})
	if err != nil {
		return 0, err
	}
	for {
		n, err := fill(ctx, in, *chunk)
		if _, err := out.Write((*chunk)[:n]); err != nil {
			return written, err
		}
		written += int64(n)
		if err == io.EOF {
			if err := out.Close(); err != nil {
				return written, err
			}
			back.end(nil)
			return written, nil
		}
		if err != nil {
			return written, err
		}
	}
}

// growing is a file that tells back how long it is, and has the kernel write it to the
// medium meanwhile.
type growing struct {
	file          *os.File
	back          *readBack
	size, flushed int64
}

// Write implements io.Writer.
func (g *growing) Write(p []byte) (int, error) {
	n, err := g.file.Write(p)
	if err != nil {
		return n, err
	}
	g.size += int64(n)
	g.back.advance(g.size)
	if g.size-g.flushed >= writebackEvery {
		startWriteback(g.file, g.flushed, g.size-g.flushed)
		g.flushed = g.size
	}
	return n, nil
}

// fill reads until buf is full. Unlike io.ReadFull it keeps the stream's own
// io.ErrUnexpectedEOF apart from its end.
func fill(ctx context.Context, in io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		var m int
		m, err = in.Read(buf[n:])
		n += m
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return n, err
}
