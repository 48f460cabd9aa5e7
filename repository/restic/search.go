package restic

import (
	"context"
	"errors"
	"io"
	"path"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// FindDamage implements repository.Sharing. It opens every blob that the backup's
// trees and recipes name, each once, in batches. Of a tree that cannot be read nobody
// knows what it names, so every tree of the repository is opened then; content that
// no recipe and no other tree names is left to the next verify. In memory it has a
// folder's tree at a time, and less for each blob than the index has.
func (r *Repository) FindDamage(ctx context.Context, id lockstep.BackupID) error {
	const op = "look for all that is damaged of backup"
	v, f, err := r.find(ctx, id)
	if err != nil {
		return err
	}
	return trouble(op, id, findDamage(ctx, v, *f.Tree))
}

// FindStagedDamage implements repository.StagedReading.
func (r *Repository) FindStagedDamage(ctx context.Context, id lockstep.BackupID, name string) error {
	v, err := r.vaultFor(ctx, id)
	if err != nil {
		return err
	}
	f, err := r.stagedAs(ctx, v, id, name)
	if err != nil {
		return err
	}
	return trouble("look for all that is damaged of staged backup", id, findDamage(ctx, v, *f.Tree))
}

func findDamage(ctx context.Context, v *vault.Vault, tree format.ID) error {
	release, err := v.UseReading(ctx)
	if err != nil {
		return err
	}
	defer release()
	s := &search{ctx: ctx, vault: v, seen: v.NewSet()}
	return errors.Join(s.run(tree), v.KeepRotten(ctx))
}

// search opens blobs, past those that are damaged: of them the vault knows then.
type search struct {
	ctx   context.Context
	vault *vault.Vault
	seen  *vault.Set
	next  []format.Handle // to be opened
	size  int             // of their content
	lost  bool            // a tree could not be read
}

func (s *search) run(root format.ID) error {
	if err := s.tree(root, ""); err != nil {
		return err
	}
	if s.lost {
		for _, h := range s.vault.Trees() {
			if err := s.blob(h); err != nil {
				return err
			}
		}
	}
	return s.open()
}

// tree opens all below a tree, which is at that path.
func (s *search) tree(id format.ID, at string) error {
	h := format.Handle{ID: id, Kind: format.Tree}
	if first, known := s.first(h); !known || !first {
		s.lost = s.lost || !known
		return nil
	}
	var below []format.Node
	var failed error // not of this tree
	err := s.vault.EachNode(s.ctx, id, func(n format.Node) error {
		if n.Subtree != nil || isRecipe(path.Join(at, string(n.Name))) {
			below = append(below, n)
		}
		failed = s.content(n)
		return failed
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		s.lost = true
		return s.passing(err)
	}
	for _, n := range below {
		if err := s.below(n, path.Join(at, string(n.Name))); err != nil {
			return err
		}
	}
	return nil
}

// first reports whether a blob is come by for the first time, and whether an index knows
// it. Where the index was replaced some are opened once more, no worse.
func (s *search) first(h format.Handle) (first, known bool) {
	first, err := s.seen.Add(h)
	if errors.Is(err, vault.ErrReplaced) {
		s.seen = s.vault.NewSet()
		first, err = s.seen.Add(h)
	}
	return first, err == nil
}

func (s *search) content(n format.Node) error {
	for _, id := range n.Content {
		if err := s.blob(format.Handle{ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// below opens what a node names beside its content.
func (s *search) below(n format.Node, at string) error {
	if n.Subtree != nil {
		return s.tree(*n.Subtree, at)
	}
	return s.recipe(n)
}

func isRecipe(at string) bool {
	is, _ := path.Match(ownFolder+"/*/"+recipeFile, at)
	return is
}

// recipe opens what a recipe names, as far as it can be read.
func (s *search) recipe(n format.Node) error {
	recipe, err := readRecipe(&contentReader{ctx: s.ctx, vault: s.vault, ids: n.Content})
	for err == nil {
		var next step
		if next, err = recipe.next(); err == nil && next.literal == nil {
			err = s.blob(format.Handle{ID: next.id})
		}
	}
	if err == io.EOF {
		return nil
	}
	return s.passing(cutOff(err))
}

// blob has a blob opened, sooner or later. One that no index knows is stored again
// in any case.
func (s *search) blob(h format.Handle) error {
	if first, known := s.first(h); !known || !first {
		return nil
	}
	_, b, _ := s.vault.Where(h)
	s.next, s.size = append(s.next, h), s.size+b.Size()
	if s.size < batchBytes && len(s.next) < batchSteps {
		return nil
	}
	return s.open()
}

func (s *search) open() error {
	err := s.vault.Probe(s.ctx, s.next)
	s.next, s.size = s.next[:0], 0
	return err
}

// passing is an error that says nothing of the data: it ends the search.
func (s *search) passing(err error) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if repository.Damage(err) {
		return nil
	}
	return err
}
