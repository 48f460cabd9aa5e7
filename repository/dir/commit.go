package dir

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
)

// Commit implements repository.Repository: the metadata file, then
// lockstep.json, each synced under a temporary name; the rename of the latter
// is the commit. What it leaves behind after that is only tidied up.
func (r *Repository) Commit(ctx context.Context, manifest lockstep.Backup) error {
	manifest = manifest.Manifest()
	dir, err := r.folder(manifest.ID)
	if err != nil {
		return err
	}
	defer dir.Close()
	s, err := dir.is(stateStaged, stateCommitted)
	if err != nil {
		return err
	}
	if s == stateCommitted {
		return dir.committedAs(manifest)
	}
	if err := r.commit(ctx, dir, manifest); err != nil {
		return r.trouble("commit backup", manifest.ID, err)
	}
	return nil
}

// committedAs refuses another manifest than the one that is there.
func (f *folder) committedAs(manifest lockstep.Backup) error {
	h, err := f.head()
	if err != nil {
		return err
	}
	was, err1 := json.Marshal(h.Manifest)
	is, err2 := json.Marshal(manifest)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(was, is) {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("commit backup %q", f.id),
			Err: errors.New("it is committed with another manifest"),
		}
	}
	return nil
}

func (r *Repository) commit(ctx context.Context, dir *folder, manifest lockstep.Backup) error {
	records, err := dir.stagedRecords(manifest)
	if err != nil {
		return err
	}
	h := &head{Version: formatVersion, Manifest: manifest, Files: records}
	if len(records) > 0 && records[0].sealed() {
		h.Version = sealedVersion
	}
	if err := h.ofOneKind(); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	if h.Version == formatVersion {
		if err := r.commitMetadata(ctx, dir, h); err != nil {
			return err
		}
	}
	if _, err := r.writeTemp(dir, manifestFile, func(w io.Writer) error { return writeManifest(w, dir, h) }); err != nil {
		return err
	}
	if err := errors.Join(r.at("sync"), syncDir(dir.root), ctx.Err()); err != nil {
		return err
	}
	faultpoint.Hit("dir.commit.before")
	if err := errors.Join(r.at("commit"), dir.root.Rename(manifestFile+".tmp", manifestFile)); err != nil {
		return err
	}
	faultpoint.Hit("dir.commit.renamed")
	if err := errors.Join(r.at("sync commit"), syncDir(dir.root)); err != nil {
		return err
	}
	faultpoint.Hit("dir.commit.after")
	r.tidy(dir, h)
	return nil
}

// commitMetadata writes the file that BBR restores by.
func (r *Repository) commitMetadata(ctx context.Context, dir *folder, h *head) (err error) {
	h.Metadata, err = r.writeTemp(dir, metadataFile, func(w io.Writer) error { return writeMetadata(ctx, w, dir, h.Manifest) })
	if err != nil {
		return err
	}
	return errors.Join(r.at("metadata"), dir.root.Rename(metadataFile+".tmp", metadataFile))
}

// stagedRecords checks the manifest against what is staged.
func (f *folder) stagedRecords(manifest lockstep.Backup) ([]record, error) {
	records := make([]record, 0, len(manifest.Artifacts))
	var failed error
	err := repository.CheckManifest(manifest, func(name string) (string, bool) {
		rec, err := f.stagedRecord(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = err
		}
		if err != nil {
			return "", false
		}
		records = append(records, rec)
		return rec.Digest, true
	})
	if failed != nil {
		return nil, failed
	}
	return records, err
}

// stagedRecord is the record of a staged artifact whose tar is there and as
// long as it was.
func (f *folder) stagedRecord(name string) (record, error) {
	if err := lockstep.CheckName("artifact", name); err != nil {
		return record{}, err
	}
	rec, list, err := readStaged(f, name)
	if err != nil {
		return rec, err
	}
	list.Close()
	if rec.sealed() {
		err = f.stillHas(rec.ListFile, rec.ListStored)
	}
	if err == nil {
		err = f.stillHas(rec.File, rec.size())
	}
	return rec, err
}

// stillHas refuses a staged file that is not as long as it was.
func (f *folder) stillHas(name string, size int64) error {
	info, err := f.root.Lstat(name)
	if err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		err = fmt.Errorf("%w: %s has %d bytes, %d were staged", repository.ErrCorrupt, name, info.Size(), size)
	}
	return err
}

// writeTemp writes and syncs FILE.tmp and gives its SHA-256.
func (r *Repository) writeTemp(dir *folder, file string, write func(io.Writer) error) (string, error) {
	if err := r.at("write " + file); err != nil {
		return "", err
	}
	f, err := dir.root.OpenFile(file+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	sum := &summer{w: f, sum: sha256.New()}
	w := bufio.NewWriterSize(sum, 64<<10)
	err = errors.Join(write(w), w.Flush(), f.Sync(), f.Close())
	return hex.EncodeToString(sum.sum.Sum(nil)), err
}

// writeManifest writes lockstep.json: its head and the staged lists.
func writeManifest(w io.Writer, dir *folder, h *head) error {
	b, err := h.encode()
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return err
	}
	for i, rec := range h.Files {
		if rec.sealed() {
			continue
		}
		if i > 0 {
			if _, err := io.WriteString(w, sectionEnd); err != nil {
				return err
			}
		}
		_, f, err := readStaged(dir, rec.Name)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(w, f, rec.ListBytes); err != nil {
			return errors.Join(err, f.Close())
		}
		f.Close()
	}
	_, err = io.WriteString(w, fileEnd)
	return err
}

// tidy removes what only staging needed, and artifacts that the manifest does
// not name. The backup exists: what fails here is left to Delete.
func (r *Repository) tidy(dir *folder, h *head) {
	// A commit that died, before the configuration was changed, may have left a metadata
	// file, which tells the names that are encrypted now.
	keep := map[string]bool{manifestFile: true, metadataFile: h.Version == formatVersion, specFile: true}
	for _, rec := range h.Files {
		keep[rec.File], keep[rec.ListFile] = true, true
	}
	names, _ := dir.names()
	for _, name := range names {
		if keep[name] {
			continue
		}
		if r.at("tidy "+name) != nil {
			return
		}
		_ = dir.root.RemoveAll(name)
	}
}

// Discard implements repository.Repository.
func (r *Repository) Discard(_ context.Context, id lockstep.BackupID) error {
	dir, err := r.folder(id)
	if errors.Is(err, repository.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	s, err := dir.state()
	switch {
	case err != nil:
		return r.trouble("discard backup", id, err)
	case s == stateCommitted || s == stateForeign:
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("discard backup %q", id), Err: errors.New("it is committed"),
			Hint: "`lockstep backups forget` deletes a backup",
		}
	case s == stateStaged:
		err = dir.clear(r, stagedMark)
	case s == stateDeleted:
		err = dir.clear(r, deletedMark)
	case s == stateOther:
		r.removeEmpty(id)
	}
	if err != nil {
		return r.trouble("discard backup", id, err)
	}
	return nil
}

// removeEmpty removes what a crash left between making a folder and marking
// it, or between clearing and removing it. A folder that is not empty stays.
func (r *Repository) removeEmpty(id lockstep.BackupID) {
	if base, err := os.OpenRoot(r.path); err == nil {
		_ = base.Remove(string(id))
		base.Close()
	}
}

// Delete implements repository.Repository. It finishes a Delete that was
// interrupted.
func (r *Repository) Delete(_ context.Context, id lockstep.BackupID) error {
	dir, err := r.folder(id)
	if err != nil {
		return err
	}
	defer dir.Close()
	s, err := dir.is(stateCommitted, stateForeign, stateDeleted)
	if err != nil {
		return err
	}
	if err := r.remove(dir, s); err != nil {
		return r.trouble("delete backup", id, err)
	}
	return nil
}

func (r *Repository) remove(dir *folder, s state) error {
	if s == stateForeign && !idPattern.MatchString(string(dir.id)) {
		return notFound(dir.id)
	}
	if file := map[state]string{stateCommitted: manifestFile, stateForeign: metadataFile}[s]; file != "" {
		if err := dir.root.Remove(stagedMark); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		faultpoint.Hit("dir.delete.before")
		if err := errors.Join(r.at("delete"), dir.root.Rename(file, deletedMark), syncDir(dir.root)); err != nil {
			return err
		}
	}
	faultpoint.Hit("dir.delete.marked")
	return dir.clear(r, deletedMark)
}
