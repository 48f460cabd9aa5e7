// Package storetest is the contract of store.Store as tests.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"lockstep/repository/restic/store"
)

// Run checks the contract. open gives a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"what is saved is loaded", testSave},
		{"a list is whole", testList},
		{"one of many creates a file", testCreate},
		{"what is not there is not found", testNotFound},
		{"many at once", testMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

func testSave(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, data := range [][]byte{bytes.Repeat([]byte("0123456789"), 100_000), []byte("short"), {}} {
		if err := s.Save(ctx, "data/4f/4fff", data); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(ctx, "data/4f/4fff", 1<<20); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes instead of %d, %v", len(got), len(data), err)
		}
	}
	if err := s.Save(ctx, "config", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoadRange(ctx, []byte("x"), "config", 3, 4); err != nil || string(got) != "x3456" {
		t.Errorf("a range is %q, %v", got, err)
	}
	for _, r := range [][2]int64{{8, 4}, {20, 1}} {
		if got, err := s.LoadRange(ctx, nil, "config", r[0], r[1]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a range beyond its end is %q, %v", got, err)
		}
	}
	if got, err := s.Load(ctx, "config", 9); !errors.Is(err, store.ErrTooLong) {
		t.Errorf("a file longer than its limit is %q, %v", got, err)
	}
}

func testList(t *testing.T, s store.Store) {
	ctx := t.Context()
	if files, err := s.List(ctx, "data"); err != nil || len(files) != 0 {
		t.Errorf("an empty store lists %v, %v", files, err)
	}
	var want []string
	for i := range 1200 { // more than a page of any listing
		name := fmt.Sprintf("data/%02x/%04d", i%256, i)
		if err := s.Save(ctx, name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprint(name, " ", len(name)))
	}
	if err := s.Save(ctx, "database/1", nil); err != nil {
		t.Fatal(err)
	}
	files, err := s.List(ctx, "data")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, fmt.Sprint(f.Name, " ", f.Size))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d files are listed, %d were saved", len(got), len(want))
	}
}

func testCreate(t *testing.T, s store.Store) {
	var made atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			err := s.Create(t.Context(), "lockstep/x", []byte{byte(i)})
			switch {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("%d created the same file", n)
	}
	if b, err := s.Load(t.Context(), "lockstep/x", 10); err != nil || len(b) != 1 {
		t.Errorf("%q, %v", b, err)
	}
}

func testNotFound(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, loadErr := s.Load(ctx, "keys/none", 10)
	_, rangeErr := s.LoadRange(ctx, nil, "keys/none", 0, 1)
	for what, err := range map[string]error{"Load": loadErr, "LoadRange": rangeErr, "Remove": s.Remove(ctx, "keys/none")} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := errors.Join(s.Save(ctx, "keys/one", []byte("1")), s.Remove(ctx, "keys/one")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, "keys/one", 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was removed: %v", err)
	}
	if s.Location() == "" {
		t.Error("it does not say where it is")
	}
	if n, err := s.Free(ctx); err != nil || n < -1 || n == 0 {
		t.Errorf("Free: %d, %v", n, err)
	}
}

func testMany(t *testing.T, s store.Store) {
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 10 {
				name := fmt.Sprintf("snapshots/%d-%d", i, j)
				err := s.Save(t.Context(), name, []byte(name))
				if err == nil {
					_, err = s.List(t.Context(), "snapshots")
				}
				if err == nil && j%2 == 0 {
					err = s.Remove(t.Context(), name)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if files, err := s.List(t.Context(), "snapshots"); err != nil || len(files) != 20 {
		t.Errorf("%d files, %v", len(files), err)
	}
}
