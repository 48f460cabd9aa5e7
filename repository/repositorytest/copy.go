package repositorytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository"
)

// memory is one backup in memory, as an original to copy: its artifacts by name.
type memory map[string][]byte

func (m memory) open(_ context.Context, a lockstep.Artifact) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(m[a.Name])), nil
}

// original is a backup of two artifacts that is in no repository yet.
func original(t *testing.T) (memory, lockstep.Backup) {
	t.Helper()
	from := memory{"a": Sample(t, "a"), "b": Sample(t, "b")}
	m := Manifest(shop)
	for _, name := range []string{"a", "b"} {
		list, n, err := repository.ReadTar(t.Context(), bytes.NewReader(from[name]))
		if err != nil {
			t.Fatal(err)
		}
		m.Artifacts = append(m.Artifacts, lockstep.Artifact{
			Slot: lockstep.Slot{Group: "db", Index: "0", Job: name}, Instance: "db/0", Name: name,
			Bytes: n, Entries: list.Count(), Digest: list.Digest(),
		})
		list.Close()
	}
	m.Signature = "— key c2ln\n"
	return from, m
}

func copying(from memory, m lockstep.Backup, to repository.Repository) repository.Copying {
	return repository.Copying{Manifest: m, To: to, By: "copy", Read: new(atomic.Int64), Open: from.open}
}

// nothing checks that no backup is there, and that the id is free.
func nothing(t *testing.T, r repository.Repository) {
	t.Helper()
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
	if id, err := r.Begin(t.Context(), shop); err != nil || id != shop {
		t.Errorf("the id is not free: %q, %v", id, err)
	}
}

// testCopy: the manifest with its signature and the exact bytes are there, with the
// word that they were read.
func testCopy(t *testing.T, r repository.Repository) {
	from, m := original(t)
	c := copying(from, m, r)
	if there, err := c.There(t.Context()); err != nil || there {
		t.Fatalf("there before it was copied: %t, %v", there, err)
	}
	if err := c.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := c.Read.Load(); n != m.Bytes() {
		t.Errorf("%d bytes of the original were read, it has %d", n, m.Bytes())
	}
	got, err := r.Get(t.Context(), m.ID)
	if diff := cmp.Diff(m, got.Manifest()); err != nil || diff != "" {
		t.Errorf("%v (-original +copy)\n%s", err, diff)
	}
	if v := got.Verified; v == nil || !v.OK || v.Bytes != m.Bytes() || v.Artifacts != 2 || v.By != "copy" || got.Data != lockstep.DataVerified {
		t.Errorf("the copy is %s, read as %+v", got.Data, v)
	}
	for name, want := range from {
		if got, err := Bytes(t.Context(), r, m.ID, name); err != nil || !bytes.Equal(want, got) {
			t.Errorf("artifact %s of the copy is another one: %v", name, err)
		}
	}
	if there, err := c.There(t.Context()); err != nil || !there {
		t.Errorf("there after it was copied: %t, %v", there, err)
	}
}

// testCopyOfOther: what is there under the id is not the same, or is damaged.
func testCopyOfOther(t *testing.T, r repository.Repository) {
	from, m := original(t)
	id := Begin(t, r, shop)
	Commit(t, r, Manifest(id, Put(t, r, id, "a", Sample(t, "other"))))
	c := copying(from, m, r)
	if there, err := c.There(t.Context()); there || lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("another backup of that id: %t, %v", there, err)
	}
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := c.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	bad := lockstep.Verification{At: start, Problems: []string{"x"}, By: "verify"}
	if err := r.RecordVerify(t.Context(), id, bad); err != nil {
		t.Fatal(err)
	}
	if there, err := c.There(t.Context()); there || lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("a damaged copy: %t, %v", there, err)
	}
}

// testCopyOfDamage: neither damage of the original nor a manifest that says something
// else gets there.
func testCopyOfDamage(t *testing.T, r repository.Repository) {
	from, m := original(t)
	wrong := m
	wrong.Artifacts = append([]lockstep.Artifact(nil), m.Artifacts...)
	wrong.Artifacts[1].Bytes++
	if err := copying(from, wrong, r).Do(t.Context()); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("a length that is not that of the manifest: %v", err)
	}
	from["b"] = Sample(t, "c") // of the same length, with other content
	if err := copying(from, m, r).Do(t.Context()); !errors.Is(err, repository.ErrCorrupt) {
		t.Errorf("damage of the original: %v", err)
	}
	nothing(t, r)
}

// testCopyEnds: a copy that is stopped leaves nothing, and what somebody else writes
// there is left alone.
func testCopyEnds(t *testing.T, r repository.Repository) {
	from, m := original(t)
	ctx, stop := context.WithCancelCause(t.Context())
	c := copying(from, m, r)
	c.Begins = func(a lockstep.Artifact) {
		if a.Name == "b" {
			stop(errors.New("stopped by hand"))
		}
	}
	if err := c.Do(ctx); err == nil {
		t.Error("a copy that was stopped did not fail")
	}
	nothing(t, r) // and takes the id
	a := Put(t, r, shop, "a", Sample(t, "mine"))
	if err := copying(from, m, r).Do(t.Context()); !errors.Is(err, repository.ErrStaged) {
		t.Errorf("while another one is written: %v", err)
	}
	Commit(t, r, Manifest(shop, a))
	if next, err := r.Begin(t.Context(), shop); err != nil || next != shop+"_2" {
		t.Errorf("it left something: the next id is %q, %v", next, err)
	}
}

// testCopyOfForeign: nothing could be proven of it.
func testCopyOfForeign(t *testing.T, r repository.Repository) {
	from, m := original(t)
	m.Artifacts[1].Digest = ""
	if err := copying(from, m, r).Do(t.Context()); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("without a digest: %v", err)
	}
	nothing(t, r)
}
