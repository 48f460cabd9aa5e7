package repositorytest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository"
)

func testRoundTrip(t *testing.T, r repository.Repository) {
	data := map[string][]byte{"db-0-postgres": Sample(t, "a"), "web-0-web": Sample(t, "b"), "none": Tar(t)}
	id := Begin(t, r, shop)
	var artifacts []lockstep.Artifact
	for _, name := range []string{"db-0-postgres", "web-0-web", "none"} {
		artifacts = append(artifacts, Put(t, r, id, name, data[name]))
	}
	m := Manifest(id, artifacts...)
	Commit(t, r, m)
	got, err := r.Get(t.Context(), id)
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Fatalf("Get: %v (-want +got)\n%s", err, diff)
	}
	for name, want := range data {
		got, err := Bytes(t.Context(), r, id, name)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: not the bytes that were put: %v", name, err)
		}
	}
	if err := Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
}

func testEmpty(t *testing.T, r repository.Repository) {
	m := Manifest(Begin(t, r, shop))
	Commit(t, r, m)
	list, err := r.List(t.Context(), "")
	if diff := cmp.Diff([]lockstep.Backup{m}, list); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func testStagedIsInvisible(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	unseen(t, r, id, "a")
	Put(t, r, id, "a", Sample(t, "x"))
	unseen(t, r, id, "a")
}

// unseen checks that nothing but Put, Commit and Discard knows of the id.
func unseen(t *testing.T, r repository.Repository, id lockstep.BackupID, name string) {
	t.Helper()
	if list, err := r.List(t.Context(), ""); err != nil || len(list) != 0 {
		t.Errorf("List: %v, %v", list, err)
	}
	_, getErr := r.Get(t.Context(), id)
	_, openErr := Bytes(t.Context(), r, id, name)
	_, entriesErr := r.Entries(t.Context(), id, name)
	for call, err := range map[string]error{"Get": getErr, "Open": openErr, "Entries": entriesErr, "Delete": r.Delete(t.Context(), id)} {
		if !errors.Is(err, repository.ErrNotFound) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func testSecondPut(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	first := Put(t, r, id, "a", Sample(t, "first"))
	second := Put(t, r, id, "a", Sample(t, "second"))
	if err := r.Commit(t.Context(), Manifest(id, first)); err == nil {
		t.Error("the first artifact was committed after it was replaced")
	}
	Commit(t, r, Manifest(id, second))
	if got, err := Bytes(t.Context(), r, id, "a"); err != nil || !bytes.Equal(got, Sample(t, "second")) {
		t.Errorf("not the second artifact's bytes: %v", err)
	}
	if err := Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
}

func testPutRefuses(t *testing.T, r repository.Repository) {
	ctx, id := t.Context(), Begin(t, r, shop)
	good := Sample(t, "x")
	for _, name := range []string{"", "../a", "a/b", ".hidden", "a\nb", "-rf", "a b"} {
		if _, err := r.Put(ctx, id, name, bytes.NewReader(good)); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := r.Put(ctx, "never_20261122T144241Z", "a", bytes.NewReader(good)); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("an id that was not begun: %v", err)
	}
	if _, err := r.Put(ctx, id, "a", bytes.NewReader(good[:len(good)-1024])); !errors.Is(err, repository.ErrTar) {
		t.Errorf("a stream without its end: %v", err)
	}
	if _, err := r.Put(ctx, id, "a", bytes.NewReader(Tar(t, Member{Name: "../up", Content: "x"}))); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("a stream with ..: %v", err)
	}
	Commit(t, r, Manifest(id))
	if _, err := r.Put(ctx, id, "a", bytes.NewReader(good)); err == nil {
		t.Error("an artifact was put into a committed backup")
	}
}

func testPutFails(t *testing.T, r repository.Repository) {
	id, data := Begin(t, r, shop), Sample(t, "x")
	whole, _, err := repository.ReadTar(t.Context(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, cause := range []error{errors.New("connection lost"), io.ErrUnexpectedEOF} {
		for _, at := range []int{0, 1, 100_000, len(data) - 1, len(data)} {
			in := io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(cause))
			if _, err := r.Put(t.Context(), id, "a", in); !errors.Is(err, cause) {
				t.Errorf("stream failed at %d of %d: %v", at, len(data), err)
			}
		}
	}
	a := lockstep.Artifact{Name: "a", Digest: whole.Digest(), Bytes: int64(len(data)), Entries: whole.Count()}
	if err := r.Commit(t.Context(), Manifest(id, a)); err == nil {
		t.Error("an artifact was committed whose Put failed")
	}
	Commit(t, r, Manifest(id, Put(t, r, id, "a", data)))
	if err := Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
}

// canceling cancels once that many bytes were read, and then goes on forever.
type canceling struct {
	data   []byte
	left   int
	cancel func()
}

func (c *canceling) Read(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.cancel()
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	if n == 0 {
		clear(p)
		return len(p), nil
	}
	return n, nil
}

func testPutCanceled(t *testing.T, r repository.Repository) {
	id, data := Begin(t, r, shop), Sample(t, "x")
	for _, after := range []int{0, 100_000, 10 << 20} {
		cause := errors.New("stopped by hand")
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := r.Put(ctx, id, "a", &canceling{data, after, func() { cancel(cause) }})
		if !errors.Is(err, cause) && !errors.Is(err, context.Canceled) {
			t.Errorf("canceled after %d bytes: %v", after, err)
		}
	}
	a := Put(t, r, id, "b", data)
	a.Name = "a"
	if err := r.Commit(t.Context(), Manifest(id, a)); err == nil {
		t.Error("an artifact was committed whose Put was canceled")
	}
}

func testCommitRefuses(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	a, b := Put(t, r, id, "a", Sample(t, "a")), Put(t, r, id, "b", Sample(t, "b"))
	wrong, missing, outside := a, a, a
	wrong.Digest, missing.Name, outside.Name = b.Digest, "c", "../a"
	old := Manifest(id, a)
	old.V = 2
	for what, m := range map[string]lockstep.Backup{
		"another digest": Manifest(id, wrong, b), "an artifact that is not staged": Manifest(id, a, missing), "a bad name": Manifest(id, outside),
		"an artifact twice": Manifest(id, a, a), "another version": old, "an id that was not begun": Manifest("never_20261122T144241Z"),
	} {
		if err := r.Commit(t.Context(), m); err == nil {
			t.Errorf("committed %s", what)
		}
	}
	unseen(t, r, id, "a")
	Commit(t, r, Manifest(id, a, b))
}

func testCommitTwice(t *testing.T, r repository.Repository) {
	id := Begin(t, r, shop)
	m := Manifest(id, Put(t, r, id, "a", Sample(t, "a")))
	Commit(t, r, m)
	Commit(t, r, m)
	other := m
	other.Data = lockstep.DataIncomplete
	if err := r.Commit(t.Context(), other); err == nil {
		t.Error("another manifest was committed over the first")
	}
	if got, err := r.Get(t.Context(), id); err != nil || got.Data != lockstep.DataVerified {
		t.Errorf("%+v, %v", got, err)
	}
}

func testBegin(t *testing.T, r repository.Repository) {
	const n = 20
	var mu sync.Mutex
	seen := map[lockstep.BackupID]int{}
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			id, err := r.Begin(t.Context(), shop)
			mu.Lock()
			defer mu.Unlock()
			if seen[id]++; err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(seen) != n || seen[shop] != 1 || seen[shop+"_2"] != 1 || seen[shop+"_20"] != 1 {
		t.Errorf("%d ids for %d backups: %v", len(seen), n, seen)
	}
	for _, id := range []lockstep.BackupID{"", "..", "../x", "a/b", ".a", "a\x00"} {
		if got, err := r.Begin(t.Context(), id); err == nil {
			t.Errorf("id %q was accepted as %q", id, got)
		}
	}
}
