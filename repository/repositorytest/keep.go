package repositorytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
)

func testDiscard(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	a := Put(t, r, id, "a", Sample(t, "a"))
	if err := r.Discard(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(t.Context(), Manifest(id, a)); err == nil {
		t.Error("a discarded backup was committed")
	}
	for _, unknown := range []lockstep.BackupID{id, "never_20261122T144241Z"} {
		if err := r.Discard(t.Context(), unknown); err != nil {
			t.Errorf("Discard of an unknown id: %v", err)
		}
	}
	if again := Begin(t, r, shop); again != shop {
		t.Errorf("a discarded id is still taken: got %q", again)
	}
	Commit(t, r, Manifest(shop, Put(t, r, shop, "a", Sample(t, "a"))))
	if err := r.Discard(t.Context(), shop); err == nil {
		t.Error("a committed backup was discarded")
	}
	if err := Reread(t.Context(), r, shop); err != nil {
		t.Error(err)
	}
}

func testDelete(t *testing.T, r repository.Repository) {
	id, other := Begin(t, r, shop), Begin(t, r, shop)
	for _, id := range []lockstep.BackupID{id, other} {
		Commit(t, r, Manifest(id, Put(t, r, id, "a", Sample(t, string(id)))))
	}
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Get(t.Context(), id); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if err := r.Delete(t.Context(), id); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("second Delete: %v", err)
	}
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 1 || list[0].ID != other {
		t.Errorf("List: %v, %v", list, err)
	}
	if err := Reread(t.Context(), r, other); err != nil {
		t.Error(err)
	}
}

func testList(t *testing.T, r repository.Repository) {
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Fatalf("empty repository: %v, %v", list, err)
	}
	for i, hour := range []int{3, 1, 4, 2} {
		deployment := []string{"shop", "bank"}[i%2]
		at := start.Add(time.Duration(hour) * time.Hour)
		m := Manifest(Begin(t, r, lockstep.NewBackupID(deployment, at)))
		m.Deployment, m.StartedAt = deployment, at
		Commit(t, r, m)
	}
	for deployment, want := range map[string]string{
		"": "shop 18 shop 17 bank 16 bank 15 ", "shop": "shop 18 shop 17 ", "bank": "bank 16 bank 15 ", "sho": "", "none": "",
	} {
		list, err := r.List(t.Context(), deployment)
		got := ""
		for _, b := range list {
			got += fmt.Sprintf("%s %d ", b.Deployment, b.StartedAt.Hour())
		}
		if err != nil || got != want {
			t.Errorf("List(%q) = %q, %v, want %q", deployment, got, err, want)
		}
	}
}

func testNotFound(t *testing.T, r repository.Repository) {
	unseen(t, r, "never_20261122T144241Z", "a")
	for _, id := range []lockstep.BackupID{"", ".", "..", "../../etc", "/etc", "a/../b", "a\x00b"} {
		if _, err := r.Get(t.Context(), id); err == nil {
			t.Errorf("Get(%q) found something", id)
		}
		if err := r.Delete(t.Context(), id); err == nil {
			t.Errorf("Delete(%q) deleted something", id)
		}
	}
	id := Begin(t, r, shop)
	Commit(t, r, Manifest(id, Put(t, r, id, "a", Sample(t, "a"))))
	for _, name := range []string{"b", "", "../a", "metadata", "a.tar", "lockstep.json"} {
		_, err := Bytes(t.Context(), r, id, name)
		if !errors.Is(err, repository.ErrNotFound) {
			t.Errorf("Open(%q): %v", name, err)
		}
		if _, err := r.Entries(t.Context(), id, name); !errors.Is(err, repository.ErrNotFound) {
			t.Errorf("Entries(%q): %v", name, err)
		}
	}
}

func testManyPuts(t *testing.T, r repository.Repository) {
	const n = 100
	id := Begin(t, r, shop)
	artifacts := make([]lockstep.Artifact, n)
	var all sync.WaitGroup
	for i := range artifacts {
		all.Go(func() {
			name := fmt.Sprint("a", i)
			data := Tar(t, Member{Name: ""}, Member{Name: "f", Content: name})
			c, err := r.Put(t.Context(), id, name, bytes.NewReader(data))
			if err != nil {
				t.Error(err)
			}
			artifacts[i] = lockstep.Artifact{Name: name, Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest}
		})
	}
	// Two of one name: one of them is staged, whole.
	same := make([]string, 2)
	for i := range same {
		all.Go(func() {
			c, err := r.Put(t.Context(), id, "same", bytes.NewReader(Sample(t, fmt.Sprint(i))))
			if err != nil {
				t.Error(err)
			}
			same[i] = c.Digest
		})
	}
	all.Wait()
	committed := 0
	for _, digest := range same {
		m := Manifest(id, append(artifacts, lockstep.Artifact{Name: "same", Bytes: int64(len(Sample(t, "0"))), Digest: digest})...)
		if err := r.Commit(t.Context(), m); err == nil {
			committed++
		}
	}
	if committed != 1 {
		t.Errorf("%d of two manifests were committed", committed)
	}
	if err := Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
}

func testReadersAndWriters(t *testing.T, r repository.Repository) {
	ctx, stop := context.WithCancel(t.Context())
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				list, err := r.List(t.Context(), "")
				if err != nil {
					t.Error(err)
				}
				for _, b := range list {
					if b.Data != lockstep.DataVerified || len(b.Artifacts) != 1 {
						t.Errorf("half a backup is listed: %+v", b)
					}
				}
			}
		})
	}
	for i := range 4 {
		writers.Go(func() {
			for j := range 5 {
				id := Begin(t, r, shop)
				a := Put(t, r, id, "a", Tar(t, Member{Name: "f", Content: fmt.Sprint(i, j)}))
				Commit(t, r, Manifest(id, a))
				if err := errors.Join(Reread(t.Context(), r, id), r.Delete(t.Context(), id)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
}

func testOpenCanceled(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	Commit(t, r, Manifest(id, Put(t, r, id, "a", Sample(t, "a"))))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, err := r.Open(ctx, id, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.ReadFull(in, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, in); !errors.Is(err, context.Canceled) {
		t.Errorf("reading after the context's end: %v", err)
	}
}

func testPlace(t *testing.T, r repository.Repository) {
	if n, err := r.Free(t.Context()); err != nil || n < -1 || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
	if r.Location() == "" {
		t.Error("Location is empty")
	}
}
