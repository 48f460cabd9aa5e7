package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// fileName is where a file of that ID lies.
func fileName(folder string, id format.ID) string {
	name := id.String()
	if folder == dataDir {
		return path.Join(folder, name[:2], name)
	}
	return path.Join(folder, name)
}

func jsonOf(value any) ([]byte, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", value, err)
	}
	return b, nil
}

// saveFile saves a value as a sealed file that is named by its content.
func (v *Vault) saveFile(ctx context.Context, folder string, value any) (format.ID, error) {
	id, sealed, err := v.sealFile(value)
	if err == nil {
		err = v.store.Save(ctx, fileName(folder, id), sealed)
	}
	return id, err
}

// saveKept is saveFile of what backups need.
func (v *Vault) saveKept(ctx context.Context, folder string, value any) (format.ID, error) {
	id, sealed, err := v.sealFile(value)
	if err == nil {
		err = saveKept(ctx, v.store, fileName(folder, id), sealed)
	}
	return id, err
}

func (v *Vault) sealFile(value any) (format.ID, []byte, error) {
	b, err := jsonOf(value)
	if err != nil {
		return format.ID{}, nil, err
	}
	sealed := v.key.Seal(nil, format.EncodeFile(b))
	return format.Sum(sealed), sealed, nil
}

// loadFile loads what saveFile saved, by us or by stock restic, as JSON. What is not
// that is asked for once more: it may have been spoiled on its way.
func (v *Vault) loadFile(ctx context.Context, folder string, id format.ID) ([]byte, error) {
	b, err := v.loadFileOnce(ctx, folder, id)
	if errors.Is(err, repository.ErrCorrupt) {
		return v.loadFileOnce(ctx, folder, id)
	}
	return b, err
}

func (v *Vault) loadFileOnce(ctx context.Context, folder string, id format.ID) ([]byte, error) {
	sealed, err := v.store.Load(ctx, fileName(folder, id), longest(folder))
	if errors.Is(err, store.ErrTooLong) {
		return nil, fmt.Errorf("%w: %w", repository.ErrCorrupt, err)
	}
	if err != nil {
		return nil, err
	}
	if format.Sum(sealed) != id {
		return nil, fmt.Errorf("%w: %s has other content", repository.ErrCorrupt, fileName(folder, id))
	}
	b, err := v.key.Open(nil, sealed)
	if err == nil {
		b, err = format.DecodeFile(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fileName(folder, id), err)
	}
	return b, nil
}

// longest is how long a file in a folder may be. That holds before anybody knows
// that it was sealed with our key, so it bounds what others can make us read.
func longest(folder string) int64 {
	switch folder {
	case locksDir, notesDir:
		return 1 << 20
	case snapshotsDir:
		return 16 << 20
	}
	return maxFile
}

// list gives the IDs in a folder with their files' sizes. Files that are named
// by no ID are none of a repository.
func (v *Vault) list(ctx context.Context, folder string) (map[format.ID]int64, error) {
	files, err := v.store.List(ctx, folder)
	if err != nil {
		return nil, err
	}
	ids := make(map[format.ID]int64, len(files))
	for _, f := range files {
		if id, err := format.ParseID(path.Base(f.Name)); err == nil && fileName(folder, id) == f.Name {
			ids[id] = f.Size
		}
	}
	return ids, nil
}

// loadAtOnce bounds the bytes of files that are loaded at once, as they are stored: read,
// they may take ten times as much.
const loadAtOnce = 4 << 20

// loadFiles loads files of those sizes, several at once, and hands each to use, one at a
// time.
func (v *Vault) loadFiles(parent context.Context, folder string, sizes map[format.ID]int64, use func(format.ID, []byte, error) error) error {
	group, ctx := errgroup.WithContext(parent)
	group.SetLimit(4 * workers())
	memory := semaphore.NewWeighted(loadAtOnce)
	var mu sync.Mutex
	for id, size := range maps.Clone(sizes) { // use may take out of them
		size := min(max(size, 0), loadAtOnce)
		if memory.Acquire(ctx, size) != nil {
			break
		}
		group.Go(func() error {
			defer memory.Release(size)
			b, err := v.loadFile(ctx, folder, id)
			mu.Lock()
			defer mu.Unlock()
			return use(id, b, err)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(parent)
}

// Note is a small sealed file of ours that is not named by its content but by
// what it is about, which nobody can read without the key.
type Note struct{ Kind, About string }

func (v *Vault) noteName(n Note) string {
	return path.Join(notesDir, n.Kind, v.key.Pseudonym("notes", n.About))
}

// CreateNote writes a note that is not there: of several at once one succeeds,
// and the others' error wraps store.ErrExists.
func (v *Vault) CreateNote(ctx context.Context, n Note, data []byte) error {
	return v.store.Create(ctx, v.noteName(n), v.key.Seal(nil, data))
}

// SaveNote writes a note, or replaces it.
func (v *Vault) SaveNote(ctx context.Context, n Note, data []byte) error {
	return v.store.Save(ctx, v.noteName(n), v.key.Seal(nil, data))
}

// LoadNote reads a note, or gives an error that wraps store.ErrNotFound.
func (v *Vault) LoadNote(ctx context.Context, n Note) ([]byte, error) {
	sealed, err := v.store.Load(ctx, v.noteName(n), longest(notesDir))
	if err != nil {
		return nil, err
	}
	return v.key.Open(nil, sealed)
}

// RemoveNote removes a note, or gives an error that wraps store.ErrNotFound.
func (v *Vault) RemoveNote(ctx context.Context, n Note) error {
	return v.hide(ctx, v.noteName(n))
}

// Notes is which of the subjects have a note of that kind: one listing serves
// for all.
func (v *Vault) Notes(ctx context.Context, kind string) (has func(about string) bool, err error) {
	files, err := v.store.List(ctx, path.Join(notesDir, kind))
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[f.Name] = true
	}
	return func(about string) bool { return names[v.noteName(Note{kind, about})] }, nil
}
