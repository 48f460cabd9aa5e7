package restic

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// Get implements repository.Repository.
func (r *Repository) Get(ctx context.Context, id lockstep.BackupID) (lockstep.Backup, error) {
	v, f, err := r.find(ctx, id)
	if errors.Is(err, repository.ErrNotFound) && v != nil {
		if _, b, ok, damagedErr := damagedSnapshot(ctx, v, id); ok || damagedErr != nil {
			return b, damagedErr
		}
	}
	if err != nil {
		return lockstep.Backup{}, err
	}
	b, err := r.backup(ctx, v, f)
	if err != nil {
		return b, trouble("read backup", id, err)
	}
	r.stand(ctx, v, &b)
	return b, nil
}

// find is the snapshot of a committed backup, or an error that wraps
// ErrNotFound.
func (r *Repository) find(ctx context.Context, id lockstep.BackupID) (*vault.Vault, found, error) {
	if repository.CheckID(id) != nil {
		return nil, found{}, notFound(id)
	}
	v, err := r.Vault(ctx)
	if errors.Is(err, vault.ErrNone) {
		return nil, found{}, notFound(id)
	}
	if err != nil {
		return nil, found{}, err
	}
	f, ok, err := r.committed(ctx, v, id)
	if err == nil && !ok {
		err = notFound(id)
	}
	return v, f, err
}

// backup is the manifest of a snapshot, as it was committed.
func (r *Repository) backup(ctx context.Context, v *vault.Vault, f found) (lockstep.Backup, error) {
	var b lockstep.Backup
	raw, err := r.manifest(ctx, v, f)
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, manifestFile, err)
	}
	switch {
	case b.V != 1:
		return b, newer(manifestFile, b.V)
	case b.ID != f.backup():
		return b, fmt.Errorf("%w: snapshot %s has the manifest of backup %q", repository.ErrCorrupt, f.id.Short(), b.ID)
	}
	return b.Manifest(), nil
}

// manifest is the JSON in a snapshot. It never changes, so it is read once.
func (r *Repository) manifest(ctx context.Context, v *vault.Vault, f found) ([]byte, error) {
	r.cacheMu.Lock()
	b, ok := r.manifests[f.id]
	r.cacheMu.Unlock()
	if ok {
		return b, nil
	}
	node, err := child(ctx, v, *f.Tree, ownFolder, manifestFile)
	if err == nil {
		b, err = small(ctx, v, node)
	}
	if err != nil {
		return nil, asDamage(err)
	}
	r.cacheMu.Lock()
	defer r.cacheMu.Unlock()
	r.manifests[f.id] = b
	return b, nil
}

// asDamage: a file that every backup has, and one does not have, is damage.
func asDamage(err error) error {
	if errors.Is(err, errMissing) {
		return fmt.Errorf("%w: %w", repository.ErrCorrupt, err)
	}
	return err
}

// Entries implements repository.Repository.
func (r *Repository) Entries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error) {
	v, f, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	unpin, err := v.Pin()
	if err != nil {
		return nil, trouble("read entries of backup", id, err)
	}
	defer unpin()
	a, err := openArtifact(ctx, v, f, name)
	if err != nil {
		return nil, a.missing(id, name, err)
	}
	list, err := a.entries(ctx)
	return list, trouble("read entries of backup", id, err)
}

// StagedEntries implements repository.Staging.
func (r *Repository) StagedEntries(ctx context.Context, id lockstep.BackupID, name string) (*spill.List, error) {
	v, err := r.vaultFor(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := r.stagedAs(ctx, v, id, name)
	if err != nil {
		return nil, err
	}
	a, err := openArtifact(ctx, v, f, name)
	if err != nil {
		return nil, err
	}
	return a.entries(ctx)
}

// stagedAs is the snapshot of an artifact that is staged.
func (r *Repository) stagedAs(ctx context.Context, v *vault.Vault, id lockstep.BackupID, name string) (found, error) {
	staged, err := r.stagedOf(ctx, v, id)
	if err != nil {
		return found{}, err
	}
	for _, f := range slices.Backward(staged) { // a later Put replaces an earlier one
		if f.tagged(tagArtifact) == name {
			return f, nil
		}
	}
	return found{}, notFound(id)
}

// artifact is one of a snapshot.
type artifact struct {
	vault *vault.Vault
	artifactJSON
	list, recipe format.Node
}

func openArtifact(ctx context.Context, v *vault.Vault, f found, name string) (artifact, error) {
	a := artifact{vault: v}
	own, err := child(ctx, v, *f.Tree, ownFolder, name)
	if err == nil && own.Subtree == nil {
		err = errMissing
	}
	if err != nil {
		return a, err
	}
	if a.artifactJSON, err = loadAbout(ctx, v, own, name); err != nil {
		return a, asDamage(err)
	}
	if a.list, err = child(ctx, v, *own.Subtree, entriesFile); err != nil {
		return a, asDamage(err)
	}
	a.recipe, err = child(ctx, v, *own.Subtree, recipeFile)
	return a, asDamage(err)
}

// missing makes of an artifact that is not there an error for people.
func (artifact) missing(id lockstep.BackupID, name string, err error) error {
	if errors.Is(err, errMissing) && !errors.Is(err, repository.ErrCorrupt) {
		return &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: fmt.Sprintf("artifact %q of backup %q", name, id), Err: repository.ErrNotFound,
			Hint: fmt.Sprintf("`lockstep backups show %s` lists its artifacts", id),
		}
	}
	return trouble(fmt.Sprintf("open artifact %q of backup", name), id, err)
}

// entries reads the recorded entry list and holds it against its digest.
func (a artifact) entries(ctx context.Context) (*spill.List, error) {
	in := bufio.NewReaderSize(&contentReader{ctx: ctx, vault: a.vault, ids: a.list.Content}, 64<<10)
	entries := spill.NewBuilder(ctx, spill.Shared())
	defer entries.Close()
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			break
		}
		if err != nil && err != io.EOF {
			return nil, err
		}
		if n == repository.MaxEntries {
			return nil, a.badList(ctx, fmt.Errorf("it has more than %d entries", repository.MaxEntries))
		}
		var e lockstep.Entry
		if err = e.UnmarshalJSON(bytes.TrimSuffix(line, []byte("\n"))); err == nil {
			err = entries.Add(e)
		}
		if err != nil {
			return nil, a.badList(ctx, err)
		}
	}
	list, err := entries.List()
	if err != nil {
		return nil, a.badList(ctx, err)
	}
	if list.Digest() != a.Digest {
		list.Close()
		return nil, a.badList(ctx, fmt.Errorf("its digest is not %s", a.Digest))
	}
	return list, nil
}

// badList is an error of reading an entry list: damage, unless it was given up or the
// list could not be kept here.
func (a artifact) badList(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, spill.ErrSpill) {
		return err
	}
	return fmt.Errorf("%w: entry list of artifact %q: %w", repository.ErrCorrupt, a.Name, err)
}

// Delete implements repository.Repository: the snapshot is what makes the
// backup exist. Its data stays until a prune.
func (r *Repository) Delete(ctx context.Context, id lockstep.BackupID) error {
	for n := 0; ; n++ {
		v, f, err := r.find(ctx, id)
		if errors.Is(err, repository.ErrNotFound) && n > 0 {
			return nil // that was the last of them
		}
		if errors.Is(err, repository.ErrNotFound) && v != nil {
			if snapshot, _, ok, damagedErr := damagedSnapshot(ctx, v, id); ok || damagedErr != nil {
				if ok {
					// It may have to be kept. But what cannot be read restores nothing, and
					// a prune refuses while it is listed.
					damagedErr = v.HideSnapshot(ctx, snapshot)
				}
				return trouble("delete backup", id, damagedErr)
			}
		}
		if err == nil {
			err = v.RemoveSnapshot(ctx, f.id)
		}
		if err == nil {
			err = v.RemoveNote(ctx, verified(id))
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return trouble("delete backup", id, err)
		}
	}
}
