package dir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"lockstep"
	"lockstep/repository"
	"lockstep/spill"
)

// List implements repository.Repository.
func (r *Repository) List(ctx context.Context, deployment string) ([]lockstep.Backup, error) {
	folders, err := os.ReadDir(r.path)
	if r.late && errors.Is(err, fs.ErrNotExist) {
		return []lockstep.Backup{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list repository: %w", err)
	}
	backups := []lockstep.Backup{}
	for _, entry := range folders {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list repository %q: %w", r.path, context.Cause(ctx))
		}
		id := lockstep.BackupID(entry.Name())
		if !entry.IsDir() || repository.CheckID(id) != nil {
			continue
		}
		b, err := r.Get(ctx, id)
		if errors.Is(err, repository.ErrNotFound) {
			continue
		}
		if err != nil {
			b = unreadable(id, err)
		}
		if deployment == "" || b.Deployment == deployment {
			backups = append(backups, b)
		}
	}
	repository.SortNewestFirst(backups)
	return backups, nil
}

// unreadable stands for a backup that is there and cannot be read.
func unreadable(id lockstep.BackupID, err error) lockstep.Backup {
	b := lockstep.Backup{
		V: 1, ID: id, Deployment: deploymentOf(id), Data: lockstep.DataUnproven, Artifacts: []lockstep.Artifact{},
		Reasons: []string{"its manifest cannot be read: " + err.Error()},
	}
	b.StartedAt = startOf(id)
	return b
}

// Get implements repository.Repository.
func (r *Repository) Get(_ context.Context, id lockstep.BackupID) (lockstep.Backup, error) {
	dir, err := r.folder(id)
	if err != nil {
		return lockstep.Backup{}, err
	}
	defer dir.Close()
	s, err := dir.is(stateCommitted, stateForeign)
	if err != nil {
		return lockstep.Backup{}, err
	}
	if s == stateForeign {
		b, _, err := dir.foreign()
		if err == nil {
			dir.stand(&b)
		}
		return b, r.reading(id, err)
	}
	h, err := dir.head()
	if err != nil {
		return lockstep.Backup{}, r.reading(id, err)
	}
	b := h.Manifest.Manifest()
	b.ID = id // a renamed folder's backup is asked for by its new name
	dir.stand(&b)
	return b, nil
}

// reading says which backup could not be read. A folder that went away
// meanwhile was deleted.
func (r *Repository) reading(id lockstep.BackupID, err error) error {
	switch {
	case err == nil || errors.Is(err, repository.ErrNotFound):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return notFound(id)
	}
	return r.trouble("read backup", id, err)
}

// head reads a committed backup's head.
func (f *folder) head() (*head, error) {
	h, file, err := f.openManifest()
	if err != nil {
		return nil, err
	}
	return h, file.Close()
}

func (f *folder) openManifest() (*head, *os.File, error) {
	file, size, err := f.open(manifestFile)
	if err != nil {
		return nil, nil, err
	}
	h, err := readHead(file)
	switch {
	case err != nil:
	case h.Manifest.ID != f.id && !f.renamed:
		err = &lockstep.Error{
			Op: "read " + manifestFile, Err: fmt.Errorf("%w: it is the manifest of backup %q", repository.ErrCorrupt, h.Manifest.ID),
			Hint: fmt.Sprintf("if the folder was renamed, name it %s again", h.Manifest.ID),
		}
	case h.size() != size:
		err = corrupt(fmt.Sprintf("it has %d bytes instead of %d", size, h.size()))
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return h, file, nil
}

// Entries implements repository.Repository.
func (r *Repository) Entries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error) {
	dir, err := r.folder(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if s, err := dir.is(stateCommitted, stateForeign); err != nil || s == stateForeign {
		return nil, errors.Join(err, noEntries(s, id))
	}
	list, err := r.entries(ctx, dir, name)
	return list, r.reading(id, err)
}

func noEntries(s state, id lockstep.BackupID) error {
	if s != stateForeign {
		return nil
	}
	return &lockstep.Error{Kind: lockstep.KindRefused, Op: fmt.Sprintf("read entries of backup %q", id), Err: errors.New("it was written by another program and has checksums only")}
}

func (r *Repository) entries(ctx context.Context, f *folder, name string) (*spill.List, error) {
	h, file, err := f.openManifest()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rec, at, ok := h.find(name)
	if !ok {
		return nil, noArtifact(f.id, name)
	}
	if rec.sealed() {
		return r.sealedEntries(ctx, f, rec)
	}
	around := make([]byte, len(fileEnd))
	if _, err := file.ReadAt(around, h.size()-int64(len(fileEnd))); err != nil || string(around) != fileEnd {
		return nil, errors.Join(corrupt("it does not end as it should"), err)
	}
	if first := h.sections; at > first {
		between := around[:len(sectionEnd)]
		if _, err := file.ReadAt(between, at-int64(len(between))); err != nil || !bytes.Equal(between, []byte(sectionEnd)) {
			return nil, errors.Join(corrupt("its entry lists are not apart"), err)
		}
	}
	return readSection(ctx, io.NewSectionReader(file, at, rec.ListBytes), rec)
}

// checkMetadata refuses a metadata file that is not the committed one.
// It is one file for all artifacts, as long as all their lists: it is read for the
// first of them only.
func (f *folder) checkMetadata(ctx context.Context, name string) error {
	h, err := f.head()
	if err != nil {
		return err
	}
	if len(h.Files) > 0 && name != h.Files[0].Name || h.Version == sealedVersion {
		return nil
	}
	file, _, err := f.open(metadataFile)
	if err != nil {
		return fmt.Errorf("%w: %w", repository.ErrCorrupt, err)
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &guarded{ctx: ctx, file: file}); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != h.Metadata {
		return fmt.Errorf("%w: %s is not what was committed; only BBR reads it", repository.ErrCorrupt, metadataFile)
	}
	return nil
}

func noArtifact(id lockstep.BackupID, name string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("artifact %q of backup %q", name, id), Err: repository.ErrNotFound,
		Hint: fmt.Sprintf("`lockstep backups show %s` lists its artifacts", id),
	}
}

// Open implements repository.Repository. What is read is compared, on the way,
// with the length and checksum recorded at commit: where they differ, reading
// ends with an error that wraps ErrCorrupt instead of io.EOF.
func (r *Repository) Open(ctx context.Context, id lockstep.BackupID, name string) (io.ReadCloser, error) {
	dir, err := r.folder(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	s, err := dir.is(stateCommitted, stateForeign)
	if err != nil {
		return nil, err
	}
	if s == stateForeign {
		in, err := dir.openForeign(ctx, name)
		return in, r.reading(id, err)
	}
	h, err := dir.head()
	if err != nil {
		return nil, r.reading(id, err)
	}
	rec, _, ok := h.find(name)
	if !ok {
		return nil, noArtifact(id, name)
	}
	file, _, err := dir.open(rec.File)
	if err != nil {
		return nil, r.trouble("open artifact of backup", id, fmt.Errorf("%w: %w", repository.ErrCorrupt, err))
	}
	in := &guarded{ctx: ctx, file: file, want: &stored{rec.File, rec.size(), rec.CRC32C}}
	if !rec.sealed() {
		return in, nil
	}
	plain, err := r.unseal(in)
	if err != nil {
		return nil, r.trouble("open artifact of backup", id, errors.Join(err, file.Close()))
	}
	return plain, nil
}

// openForeign opens another program's tar. One that is not there and should
// hold nothing is an empty tar: BBR writes none for such a custom artifact.
func (f *folder) openForeign(ctx context.Context, name string) (io.ReadCloser, error) {
	b, sums, err := f.foreign()
	if err != nil {
		return nil, err
	}
	a, ok := b.Named(name)
	if !ok {
		return nil, noArtifact(f.id, name)
	}
	file, _, err := f.open(name + tarSuffix)
	if errors.Is(err, fs.ErrNotExist) && a.Custom && len(sums[name]) == 0 {
		return io.NopCloser(bytes.NewReader(make([]byte, 1024))), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", repository.ErrCorrupt, err) //nolint:errorlint // a file that is gone is damage, and not found as anything else
	}
	return &guarded{ctx: ctx, file: file}, nil
}

// stored is what is recorded of a file.
type stored struct {
	file   string
	bytes  int64
	crc32c string
}

// guarded reads a file until ctx ends, and holds it against its record.
type guarded struct {
	ctx    context.Context
	file   *os.File
	want   *stored // or nil
	n      int64
	crc    uint32
	failed error // what reading ended with, but for io.EOF
}

func (g *guarded) Read(p []byte) (int, error) {
	n, err := g.read(p)
	if err != nil && err != io.EOF {
		g.failed = err
	}
	return n, err
}

func (g *guarded) read(p []byte) (int, error) {
	if g.ctx.Err() != nil {
		return 0, context.Cause(g.ctx)
	}
	n, err := g.file.Read(p)
	if g.want == nil {
		return n, err
	}
	g.n += int64(n)
	g.crc = crc32.Update(g.crc, castagnoli, p[:n])
	switch {
	case g.n > g.want.bytes || err == io.EOF && g.n < g.want.bytes:
		return n, fmt.Errorf("%w: %s does not have the %d bytes that were put", repository.ErrCorrupt, g.want.file, g.want.bytes)
	case err == io.EOF && fmt.Sprintf("%08x", g.crc) != g.want.crc32c:
		return n, fmt.Errorf("%w: %s: its CRC-32C is %08x instead of %s", repository.ErrCorrupt, g.want.file, g.crc, g.want.crc32c)
	}
	return n, err
}

func (g *guarded) Close() error { return g.file.Close() }
