package vault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"

	"lockstep/repository"
	"lockstep/repository/restic/format"
)

// rottenKind is of the notes that say which blobs of a pack could not be opened, so
// that no process counts them as stored.
const rottenKind = "rotten"

// rottenJSON is what such a note says.
type rottenJSON struct {
	Pack  format.ID       `json:"pack"`
	Blobs []format.Handle `json:"blobs"`
}

// maxRotten bounds the blobs of one note, which is read whole. A pack has several
// notes where it has more.
const maxRotten = 4096

// KeepRotten tells every process which blobs this one could not open. A note is named
// by what it says, so nobody's takes the place of what another one has found meanwhile.
func (v *Vault) KeepRotten(ctx context.Context) error {
	for _, n := range v.notNoted() {
		b, err := json.Marshal(n)
		if err == nil {
			err = v.SaveNote(ctx, Note{rottenKind, n.Pack.String() + " " + format.Sum(b).String()}, b)
		}
		if err != nil {
			return fmt.Errorf("note that blobs of pack %s are damaged: %w", n.Pack.Short(), err)
		}
		v.heed(n)
	}
	return nil
}

// notNoted are notes of what no note says yet.
func (v *Vault) notNoted() (notes []rottenJSON) {
	for pack, blobs := range v.unsaid() {
		slices.SortFunc(blobs, func(a, b format.Handle) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.ID[:], b.ID[:]))
		})
		for some := range slices.Chunk(blobs, maxRotten) {
			notes = append(notes, rottenJSON{pack, some})
		}
	}
	return notes
}

// unsaid are the rotten blobs of each pack that are in no note.
func (v *Vault) unsaid() map[format.ID][]format.Handle {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := map[format.ID][]format.Handle{}
	for s := range v.index.rotten {
		if !v.index.noted[s] {
			pack := v.index.packs[s.pack]
			all[pack] = append(all[pack], s.Handle)
		}
	}
	return all
}

// heed takes what a note says for known. One of a pack that is gone says nothing.
func (v *Vault) heed(n rottenJSON) {
	v.mu.Lock()
	defer v.mu.Unlock()
	pack, ok := v.index.known[n.Pack]
	if !ok {
		return
	}
	for _, h := range n.Blobs {
		v.index.rotten[spot{h, pack}], v.index.noted[spot{h, pack}] = true, true
	}
}

// readRotten reads the notes. One that cannot be read here, or is damaged itself, says
// nothing and keeps nobody from working: the next verify makes it anew. Where the
// repository is not reached, they may all be good.
func (v *Vault) readRotten(ctx context.Context) error {
	return v.eachRotten(ctx, func(_ string, n rottenJSON) error {
		v.heed(n)
		return nil
	})
}

// forgetRotten removes the notes of packs that are not there.
func (v *Vault) forgetRotten(ctx context.Context, packs map[format.ID]int64) error {
	return v.eachRotten(ctx, func(name string, n rottenJSON) error {
		if _, there := packs[n.Pack]; there {
			return nil
		}
		return v.hide(ctx, name)
	})
}

func (v *Vault) eachRotten(ctx context.Context, do func(name string, n rottenJSON) error) error {
	files, err := v.store.List(ctx, path.Join(notesDir, rottenKind))
	if err != nil {
		return fmt.Errorf("list what is known to be damaged: %w", err)
	}
	for _, f := range files {
		sealed, err := v.store.Load(ctx, f.Name, longest(notesDir))
		if ctx.Err() != nil || errors.Is(err, repository.ErrUnavailable) {
			return fmt.Errorf("read what is known to be damaged: %w", errors.Join(err, ctx.Err()))
		}
		if err != nil {
			continue
		}
		var n rottenJSON
		b, err := v.key.Open(nil, sealed)
		if err != nil || json.Unmarshal(b, &n) != nil {
			continue
		}
		if err := do(f.Name, n); err != nil {
			return err
		}
	}
	return nil
}
