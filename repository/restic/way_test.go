package restic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
)

// poorWay is a store on a way that spoils every file the first time that it is read,
// and loses the answer of a creation.
type poorWay struct {
	store.Store
	spoil   func([]byte) []byte
	mu      sync.Mutex
	spoiled map[string]bool
	lose    string // the folder whose creations lose their answer, once
	lost    int
	changed []string
}

// once reports whether a file is read for the first time.
func (p *poorWay) once(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spoil == nil || p.spoiled[name] || path.Dir(name) == "keys" {
		return false
	}
	p.spoiled[name] = true
	return true
}

func (p *poorWay) Load(ctx context.Context, name string, limit int64) ([]byte, error) {
	b, err := p.Store.Load(ctx, name, limit)
	if err == nil && p.once(name) {
		b = p.spoil(b)
	}
	return b, err
}

func (p *poorWay) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	b, err := p.Store.LoadRange(ctx, dst, name, offset, length)
	if err == nil && p.once(name) {
		if b = p.spoil(b); int64(len(b)-len(dst)) < length {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return b, err
}

// Create does what S3's does that is asked again, because its answer was lost.
func (p *poorWay) Create(ctx context.Context, name string, data []byte) error {
	err := p.Store.Create(ctx, name, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changed = append(p.changed, name)
	if err == nil && p.lose != "" && strings.HasPrefix(name, p.lose) && p.lost == 0 {
		p.lost++
		return store.ErrExists
	}
	return err
}

func (p *poorWay) Save(ctx context.Context, name string, data []byte) error {
	p.mu.Lock()
	p.changed = append(p.changed, name)
	p.mu.Unlock()
	return p.Store.Save(ctx, name, data)
}

func poor(t *testing.T, path, password string) (*Repository, *poorWay) {
	t.Helper()
	s, err := file.At(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p := &poorWay{Store: s, spoiled: map[string]bool{}}
	return New(Options{Store: p, Password: func(context.Context) (string, error) { return password, nil }, KDF: quick}), p
}

func isNote(name string) bool { return path.Dir(name) != "locks" }

// TestWhatIsSpoiledOnItsWay is read once more, and nothing of it is called damaged, nor
// stored again by the next backup.
//
//fault:37 what the S3 service answers is cut, or has other bytes | it is asked for once more; where that is no better the backup is called damaged, and nothing of it is restored
func TestWhatIsSpoiledOnItsWay(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func([]byte) []byte{
		"cut":         func(b []byte) []byte { return b[:len(b)/2] },
		"other bytes": func(b []byte) []byte { c := bytes.Clone(b); c[len(c)/2] ^= 4; return c },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path, _ := filled(t)
			r, p := poor(t, path, "secret")
			p.spoil = spoil
			if err := repositorytest.Reread(t.Context(), r, shop); err != nil {
				t.Error(err)
			}
			if v, err := r.Vault(t.Context()); err != nil {
				t.Error(err)
			} else if err := v.KeepRotten(t.Context()); err != nil || slices.ContainsFunc(p.changed, isNote) {
				t.Errorf("%v: blobs count as damaged that are not: %v", p.changed, err)
			}
			if len(p.spoiled) < 4 {
				t.Errorf("only these were spoiled: %v", p.spoiled)
			}
		})
	}
}

// TestALostAnswerOfACreation: whoever is told that a file is there already may have made
// it, and goes on all the same.
//
//fault:38 the S3 service makes a file, and its answer is lost | the request is sent again: what is named by its content is the same, a new backup takes the next name, and a new repository is the one that was made
func TestALostAnswerOfACreation(t *testing.T) {
	t.Parallel()
	for _, lose := range []string{"config", "lockstep"} {
		t.Run(lose, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			r, p := poor(t, folder, "secret")
			p.lose = lose
			if _, err := r.Identify(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := backup(t, r, shop); err != nil || p.lost == 0 {
				t.Fatalf("%d answers were lost: %v", p.lost, err)
			}
			again := at(t, folder, "secret")
			list, err := again.List(t.Context(), "")
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			if err := errors.Join(repositorytest.Reread(t.Context(), again, list[0].ID), again.Check(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAWrongPasswordChangesNothing, whatever is asked for.
//
//fault:42 the password of the repository is wrong | everything fails at once and says that; nothing is written, and nothing is called damaged
func TestAWrongPasswordChangesNothing(t *testing.T) {
	t.Parallel()
	folder, _ := filled(t)
	r, p := poor(t, folder, "Secret")
	for what, do := range map[string]func() error{
		"identify": func() error { _, err := r.Identify(t.Context()); return err },
		"begin":    func() error { _, err := r.Begin(t.Context(), shop); return err },
		"list":     func() error { _, err := r.List(t.Context(), ""); return err },
		"read":     func() error { return repositorytest.Reread(t.Context(), r, shop) },
		"delete":   func() error { return r.Delete(t.Context(), shop) },
		"check":    func() error { return r.Check(t.Context()) },
	} {
		if err := do(); !errors.Is(err, format.ErrWrongPassword) || repository.Damage(err) || len(p.changed) > 0 {
			t.Errorf("%s: %v, after changes of %v", what, err, p.changed)
		}
	}
}
