package restic

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
)

// mortal is a store that dies after so many changes: nothing is changed by it
// any more, whoever asks.
type mortal struct {
	store.Store
	mu   sync.Mutex
	left int
}

var errDead = errors.New("the process is dead")

func (m *mortal) change(do func() error) error {
	m.mu.Lock()
	m.left--
	dead := m.left < 0
	m.mu.Unlock()
	if dead {
		return errDead
	}
	return do()
}

func (m *mortal) Save(ctx context.Context, name string, data []byte) error {
	return m.change(func() error { return m.Store.Save(ctx, name, data) })
}

func (m *mortal) Create(ctx context.Context, name string, data []byte) error {
	return m.change(func() error { return m.Store.Create(ctx, name, data) })
}

func (m *mortal) Remove(ctx context.Context, name string) error {
	return m.change(func() error { return m.Store.Remove(ctx, name) })
}

func mortalAt(t *testing.T, path string, left int) (*Repository, *mortal) {
	t.Helper()
	s, err := file.At(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m := &mortal{Store: s, left: left}
	return New(Options{Store: m, Password: func(context.Context) (string, error) { return "secret", nil }, KDF: quick}), m
}

// TestDeathAtAnyWrite: whichever change of the repository is the last one that
// a backup makes, it is there whole or not at all, and the next one works.
//
//fault:restic-death the orchestrator dies at any write into a repository in restic's format | the backup is there whole or not at all; the repository stays clean, and the next backup uses what was stored
func TestDeathAtAnyWrite(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		path := t.TempDir()
		if _, err := at(t, path, "secret").Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		r, m := mortalAt(t, path, n)
		err := backup(t, r, shop)
		again := at(t, path, "secret")
		list, listErr := again.List(t.Context(), "")
		if listErr != nil || len(list) > 1 || len(list) == 0 && err == nil {
			t.Fatalf("death at change %d: %d backups, %v", n, len(list), listErr)
		}
		for _, b := range list {
			if err := repositorytest.Reread(t.Context(), again, b.ID); err != nil {
				t.Fatalf("death at change %d: %v", n, err)
			}
		}
		if err := backup(t, again, shop+"_next"); err != nil {
			t.Fatalf("death at change %d: the next backup: %v", n, err)
		}
		if m.left >= 0 {
			if n < 10 {
				t.Errorf("a backup makes only %d changes", n)
			}
			return
		}
	}
}

// backup makes a backup of two artifacts.
func backup(t *testing.T, r *Repository, id lockstep.BackupID) error {
	id, err := r.Begin(t.Context(), id)
	if err != nil {
		return err
	}
	var artifacts []lockstep.Artifact
	for _, name := range []string{"a", "b"} {
		c, err := r.Put(t.Context(), id, name, bytes.NewReader(repositorytest.Sample(t, name)))
		if err != nil {
			return err
		}
		artifacts = append(artifacts, lockstep.Artifact{Name: name, Bytes: c.Bytes, Digest: c.Digest})
	}
	return r.Commit(t.Context(), repositorytest.Manifest(id, artifacts...))
}

// TestAnotherProcessGoesOn: what one orchestrator staged, another one commits.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	r := at(t, path, "secret")
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	a := repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))
	again := at(t, path, "secret")
	b := repositorytest.Put(t, again, id, "b", repositorytest.Sample(t, "b"))
	repositorytest.Commit(t, again, repositorytest.Manifest(id, a, b))
	if err := repositorytest.Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	if _, err := r.Put(t.Context(), id, "c", bytes.NewReader(repositorytest.Tar(t))); err == nil {
		t.Error("put into a backup that another process committed")
	}
}

// TestTwoOrchestratorsAtOnce write to one repository, and find each other's
// backups.
func TestTwoOrchestratorsAtOnce(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if _, err := at(t, path, "secret").Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	const each = 5
	both := []*Repository{at(t, path, "secret"), at(t, path, "secret")}
	for _, r := range both {
		all.Go(func() {
			for range each {
				if err := backup(t, r, shop); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, r := range both {
		list, err := r.List(t.Context(), "")
		if err != nil || len(list) != 2*each {
			t.Errorf("%d backups, %v", len(list), err)
		}
		for _, b := range list {
			if err := repositorytest.Reread(t.Context(), r, b.ID); err != nil {
				t.Error(err)
			}
		}
	}
}
