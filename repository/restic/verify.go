package restic

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// verified is the note of how a backup was read again last.
func verified(id lockstep.BackupID) vault.Note {
	return vault.Note{Kind: "verified", About: string(id)}
}

// verifiedJSON is what that note says.
type verifiedJSON struct {
	Version int                   `json:"lockstep_verify"`
	Backup  lockstep.BackupID     `json:"backup"`
	Last    lockstep.Verification `json:"last"`
}

const verifyVersion = 1

// RecordVerify implements repository.Repository. What could not be read is noted, so
// that no later backup counts it as stored.
func (r *Repository) RecordVerify(ctx context.Context, id lockstep.BackupID, last lockstep.Verification) error {
	v, _, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	if err := v.KeepRotten(ctx); err != nil {
		return trouble("keep the result of verifying backup", id, err)
	}
	b, err := json.Marshal(verifiedJSON{verifyVersion, id, last})
	if err == nil {
		err = v.SaveNote(ctx, verified(id), b)
	}
	return trouble("keep the result of verifying backup", id, err)
}

// lastVerify is what RecordVerify kept, or nil.
func lastVerify(ctx context.Context, v *vault.Vault, id lockstep.BackupID) (*lockstep.Verification, error) {
	b, err := v.LoadNote(ctx, verified(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var j verifiedJSON
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err == nil && (j.Version != verifyVersion || j.Backup != id) {
		err = fmt.Errorf("it has version %d and is of backup %q", j.Version, j.Backup)
	}
	return &j.Last, err
}

// stand completes a manifest with what became known since. A result that
// cannot be read says nothing good.
func (r *Repository) stand(ctx context.Context, v *vault.Vault, b *lockstep.Backup) {
	last, err := lastVerify(ctx, v, b.ID)
	if err != nil {
		b.Reasons = append(b.Reasons, "the result of its last verify cannot be read: "+err.Error()+"; verify it again")
		if b.Data == lockstep.DataVerified {
			b.Become(lockstep.DataUnproven)
		}
		return
	}
	b.Verified = last
	b.Stand()
}

// CheckForOthers implements repository.ForOthers: the trees are what stock restic
// restores by. They are read, and held against the entry list and the index.
func (r *Repository) CheckForOthers(ctx context.Context, id lockstep.BackupID, name string) error {
	v, f, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	unpin, err := v.Pin() // or a disk that is unmounted meanwhile would look like damage
	if err != nil {
		return trouble("read the files of backup", id, err)
	}
	defer unpin()
	a, err := openArtifact(ctx, v, f, name)
	if err != nil {
		return a.missing(id, name, err)
	}
	list, err := a.entries(ctx)
	if err != nil {
		return trouble("read entries of backup", id, err)
	}
	defer list.Close()
	files, err := child(ctx, v, *f.Tree, name)
	if err == nil {
		err = a.checkTree(ctx, files, list)
	}
	return trouble("read the files of backup", id, asDamage(err))
}

// sumOf is a digest of those IDs in that order.
func sumOf(ids []format.ID) [sha256.Size]byte {
	sum := sha256.New()
	for _, id := range ids {
		sum.Write(id[:])
	}
	return [sha256.Size]byte(sum.Sum(nil))
}

// contents are the files whose content the recipe has as blobs, by the path that the
// list has them under, each with the digest of their IDs.
func (a artifact) contents(ctx context.Context, list *spill.List) (*spill.List, error) {
	recipe, err := readRecipe(&contentReader{ctx: ctx, vault: a.vault, ids: a.recipe.Content})
	if err != nil {
		return nil, err
	}
	files, err := contentsOf(ctx, recipe, list)
	if err != nil {
		return nil, fmt.Errorf("recipe of artifact %q: %w", a.Name, err)
	}
	return files, nil
}

func contentsOf(ctx context.Context, recipe *recipeReader, list *spill.List) (*spill.List, error) {
	stream := &outline{recipe: recipe}
	files := spill.NewBuilder(ctx, spill.Shared())
	defer files.Close()
	for in := tar.NewReader(stream); ; {
		h, err := in.Next()
		if err == io.EOF {
			return files.List()
		}
		stream.ids = stream.ids[:0]
		if err == nil {
			_, err = io.Copy(io.Discard, stopping{ctx, in})
		}
		if err == nil && len(stream.ids) > 1 {
			var path string
			if path, err = home(list, repository.MemberPath(h)); err == nil {
				err = files.Add(lockstep.Entry{Path: path, Type: lockstep.EntryFile, Sum: sumOf(stream.ids)})
			}
		}
		if err != nil {
			return nil, err
		}
	}
}

// home is the path under which the list has the file of that name.
func home(list *spill.List, path string) (string, error) {
	e, ok, err := list.Find(path)
	if ok && e.Type == lockstep.EntryHardlink {
		path = e.Link
	}
	return path, err
}

// stopping reads until ctx ends, also where reading asks nobody: in the hole of a
// sparse file.
type stopping struct {
	ctx context.Context
	in  io.Reader
}

// Read implements io.Reader.
func (s stopping) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.in.Read(p)
}

// outline is an artifact's stream with zeros in place of what is in blobs.
type outline struct {
	recipe *recipeReader
	now    []byte
	zeros  int
	ids    []format.ID // of the blobs that were come by
}

// Read implements io.Reader.
func (o *outline) Read(p []byte) (int, error) {
	for len(o.now) == 0 && o.zeros == 0 {
		s, err := o.recipe.next()
		if err != nil {
			return 0, err
		}
		if s.literal != nil {
			o.now = s.literal
			continue
		}
		o.zeros, o.ids = s.size, append(o.ids, s.id)
	}
	if o.zeros > 0 {
		n := min(len(p), o.zeros)
		clear(p[:n])
		o.zeros -= n
		return n, nil
	}
	n := copy(p, o.now)
	o.now = o.now[n:]
	return n, nil
}
