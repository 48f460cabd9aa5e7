package vault

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Where the store keeps files from being removed (store.Retaining), that holds for all
// that a committed backup needs: config, keys, packs, indexes and its snapshot. Locks,
// notes and the snapshots of staged artifacts are not kept: they must be removable. Before
// a backup is committed, what it needs of what was there is kept for as long as what is
// new.

// retaining gives the store as one that keeps files, and until when what is saved now must
// be kept. ok is false where nothing must.
func retaining(s store.Store) (r store.Retaining, until time.Time, ok bool) {
	if r, ok = s.(store.Retaining); ok {
		until = r.Until(time.Now())
	}
	return r, until, ok && !until.IsZero()
}

// saveKept saves a file that backups need.
func saveKept(ctx context.Context, s store.Store, name string, data []byte) error {
	if r, until, ok := retaining(s); ok {
		return r.SaveUntil(ctx, name, data, until)
	}
	return s.Save(ctx, name, data)
}

// createKept creates a file that backups need.
func createKept(ctx context.Context, s store.Store, name string, data []byte) error {
	err := s.Create(ctx, name, data)
	if r, until, ok := retaining(s); ok && err == nil {
		err = r.Retain(ctx, name, until)
	}
	return err
}

// hide removes a file that nothing needs any more, or nobody must use any more, for all that read the repository, even
// while it must be kept.
func (v *Vault) hide(ctx context.Context, name string) error {
	if r, ok := v.store.(store.Retaining); ok {
		return r.Hide(ctx, name)
	}
	return v.store.Remove(ctx, name)
}

// retainsAtOnce is how many files are kept anew at once.
const retainsAtOnce = 16

// retain keeps all that a snapshot of that tree needs, and what opens the repository, at
// least until then. The caller holds a lock.
func (v *Vault) retain(ctx context.Context, r store.Retaining, tree format.ID, until time.Time) error {
	names, err := v.needed(ctx, tree)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(retainsAtOnce)
	for _, name := range names {
		group.Go(func() error { return v.goneKey(name, r.Retain(ctx, name, until)) })
	}
	return group.Wait()
}

// goneKey forgives that a key is not there which somebody has removed meanwhile: the
// repository is opened with another one.
func (v *Vault) goneKey(name string, err error) error {
	if errors.Is(err, store.ErrNotFound) && path.Dir(name) == keysDir && name != fileName(keysDir, v.keyID) {
		return nil
	}
	return err
}

// needed are the files without which a tree cannot be read. Of indexes those are all:
// only a prune knows which of them could be done without.
func (v *Vault) needed(ctx context.Context, tree format.ID) ([]string, error) {
	names := []string{configFile}
	for _, folder := range []string{keysDir, indexDir} {
		ids, err := v.list(ctx, folder)
		if err != nil {
			return nil, err
		}
		for id := range ids {
			names = append(names, fileName(folder, id))
		}
	}
	used, err := v.Used(ctx, map[format.ID]format.Snapshot{{}: {Tree: &tree}})
	if err != nil {
		return nil, err
	}
	packs := map[format.ID]bool{}
	for h := range used.All() {
		pack, _, err := v.find(ctx, h)
		if err != nil {
			return nil, err
		}
		packs[pack] = true
	}
	for id := range packs {
		names = append(names, fileName(dataDir, id))
	}
	slices.Sort(names)
	return names, nil
}

// retained are those of the files in a folder that cannot be removed now, with the time
// until when.
func (v *Vault) retained(ctx context.Context, folder string, ids []format.ID) (map[format.ID]time.Time, error) {
	r, ok := v.store.(store.Retaining)
	if !ok {
		return nil, nil
	}
	times := make([]time.Time, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(retainsAtOnce)
	for i, id := range ids {
		group.Go(func() (err error) {
			times[i], err = r.Retained(ctx, fileName(folder, id))
			if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			return err
		})
	}
	err := group.Wait()
	out := map[format.ID]time.Time{}
	for i, id := range ids {
		out[id] = times[i]
	}
	maps.DeleteFunc(out, func(_ format.ID, until time.Time) bool { return until.IsZero() })
	return out, err
}

// stays makes of an error of removing what must be kept one that says when it may be
// done.
func stays(op string, err error) error {
	var kept *store.RetainedError
	if !errors.As(err, &kept) {
		return err
	}
	hint := "somebody set a legal hold; it can be removed where it was set"
	if !kept.Until.IsZero() {
		hint = "do it after " + kept.Until.UTC().Format(time.DateTime) + " UTC"
	}
	return &lockstep.Error{Kind: lockstep.KindRetained, Op: op, Err: kept, Hint: hint}
}
