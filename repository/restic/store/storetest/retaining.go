package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/repository/restic/store"
)

// RetainingStore is a store that keeps files.
type RetainingStore interface {
	store.Store
	store.Retaining
}

// RunRetaining checks the contract of store.Retaining. open gives a new, empty store that
// keeps files for an hour or more; wait waits until its clock shows a time.
func RunRetaining(t *testing.T, open func(t *testing.T) RetainingStore, now func() time.Time, wait func(time.Time)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s RetainingStore, now time.Time)
	}{
		{"what must be kept cannot be removed", testKept},
		{"no time is shortened", testRetain},
		{"what is hidden is not found", testHide},
		{"what many hide at once stays hidden", testPurge},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t), now()) })
	}
	t.Run("what was kept long enough is removed", func(t *testing.T) {
		s, until := open(t), now().Add(2*time.Second).Truncate(time.Second)
		if err := s.SaveUntil(t.Context(), "data/1", []byte("1"), until); err != nil {
			t.Fatal(err)
		}
		wait(until.Add(time.Second))
		if at, err := s.Retained(t.Context(), "data/1"); err != nil || !at.IsZero() {
			t.Errorf("kept until %s, %v", at, err)
		}
		if err := s.Remove(t.Context(), "data/1"); err != nil {
			t.Error(err)
		}
		gone(t, s, "data/1")
	})
}

func gone(t *testing.T, s store.Store, name string) {
	t.Helper()
	files, err := s.List(t.Context(), "data")
	if err != nil || slices.ContainsFunc(files, func(f store.File) bool { return f.Name == name }) {
		t.Errorf("%s is listed, %v", name, err)
	}
	if _, err := s.Load(t.Context(), name, 10); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: %v", name, err)
	}
}

func keptUntil(t *testing.T, s store.Store, name string, until time.Time) {
	t.Helper()
	var kept *store.RetainedError
	if err := s.Remove(t.Context(), name); !errors.As(err, &kept) || !kept.Until.Equal(until) {
		t.Errorf("remove %s, kept until %s: %v", name, until, err)
	}
	if b, err := s.Load(t.Context(), name, 10); err != nil || string(b) != "1" {
		t.Errorf("%q, %v", b, err)
	}
}

func testKept(t *testing.T, s RetainingStore, now time.Time) {
	until := s.Until(now)
	if until.Sub(now) < time.Hour || !until.Equal(until.Truncate(time.Second)) {
		t.Errorf("what is saved at %s is kept until %s", now, until)
	}
	err := errors.Join(s.SaveUntil(t.Context(), "data/1", []byte("1"), until), s.Save(t.Context(), "locks/1", []byte("1")))
	if err != nil {
		t.Fatal(err)
	}
	keptUntil(t, s, "data/1", until)
	if at, err := s.Retained(t.Context(), "data/1"); err != nil || !at.Equal(until) {
		t.Errorf("kept until %s, not %s: %v", at, until, err)
	}
	if at, err := s.Retained(t.Context(), "locks/1"); err != nil || !at.IsZero() {
		t.Errorf("what was saved as ever is kept until %s, %v", at, err)
	}
	if err := s.Remove(t.Context(), "locks/1"); err != nil {
		t.Error(err)
	}
}

func testRetain(t *testing.T, s RetainingStore, now time.Time) {
	until := s.Until(now)
	later, earlier := until.Add(time.Hour), until.Add(-time.Hour/2)
	if err := s.Save(t.Context(), "data/1", []byte("1")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ to, want time.Time }{{until, until}, {earlier, until}, {later, later}, {until, later}} {
		if err := s.Retain(t.Context(), "data/1", c.to); err != nil {
			t.Error(err)
		}
		keptUntil(t, s, "data/1", c.want)
	}
	if err := s.Retain(t.Context(), "data/none", until); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("keep what is not there: %v", err)
	}
}

func testHide(t *testing.T, s RetainingStore, now time.Time) {
	ctx := t.Context()
	err := errors.Join(
		s.SaveUntil(ctx, "data/1", []byte("1"), s.Until(now)), s.Hide(ctx, "data/1"),
		s.Save(ctx, "data/2", []byte("2")), s.Save(ctx, "data/2", []byte("3")), s.Hide(ctx, "data/2"),
	)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		gone(t, s, "data/1")
		gone(t, s, "data/2")
		if err := s.Hide(ctx, "data/1"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("hide what is hidden: %v", err)
		}
		if err := s.Purge(ctx, "data"); err != nil {
			t.Error(err)
		}
	}
	if err := s.Save(ctx, "data/1", []byte("4")); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Load(ctx, "data/1", 10); err != nil || string(b) != "4" {
		t.Errorf("what was saved again is %q, %v", b, err)
	}
}

// testPurge: no purge makes an older version the file again.
func testPurge(t *testing.T, s RetainingStore, now time.Time) {
	ctx := t.Context()
	for i := range 6 {
		name := fmt.Sprint("data/", i)
		err := s.Save(ctx, name, []byte("1"))
		if i%2 == 0 {
			err = errors.Join(err, s.Retain(ctx, name, s.Until(now)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 { // not the last
		if err := s.Hide(ctx, fmt.Sprint("data/", i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Purge(ctx, "data"); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := s.List(ctx, "data"); err != nil || len(files) != 1 || files[0].Name != "data/5" {
		t.Errorf("%v, %v; only the last was not hidden", files, err)
	}
}

// Retaining is a store that keeps files by a clock of its own. It is for tests.
type Retaining struct {
	store.Store
	// Period is for how long it keeps them.
	Period time.Duration

	mu    sync.Mutex
	now   time.Time
	until map[string]time.Time
}

// NewRetaining makes one of another store.
func NewRetaining(s store.Store, period time.Duration) *Retaining {
	return &Retaining{Store: s, Period: period, now: time.Now().Truncate(time.Second).Add(time.Second), until: map[string]time.Time{}}
}

// Now is what its clock shows.
func (r *Retaining) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Wait lets its clock show that time.
func (r *Retaining) Wait(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = until
}

// Until implements store.Retaining, by its own clock.
func (r *Retaining) Until(time.Time) time.Time { return r.Now().Add(r.Period) }

// SaveUntil implements store.Retaining.
func (r *Retaining) SaveUntil(ctx context.Context, name string, data []byte, until time.Time) error {
	if err := r.Save(ctx, name, data); err != nil {
		return err
	}
	return r.Retain(ctx, name, until)
}

// Retain implements store.Retaining.
func (r *Retaining) Retain(ctx context.Context, name string, until time.Time) error {
	if _, err := r.LoadRange(ctx, nil, name, 0, 0); errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.until[name]) {
		r.until[name] = until
	}
	return nil
}

// Retained implements store.Retaining.
func (r *Retaining) Retained(_ context.Context, name string) (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until := r.until[name]; until.After(r.now) {
		return until, nil
	}
	return time.Time{}, nil
}

// Remove implements store.Store.
func (r *Retaining) Remove(ctx context.Context, name string) error {
	if until, _ := r.Retained(ctx, name); !until.IsZero() {
		return &store.RetainedError{Name: name, Until: until}
	}
	return r.Hide(ctx, name)
}

// Hide implements store.Retaining.
func (r *Retaining) Hide(ctx context.Context, name string) error {
	r.mu.Lock()
	delete(r.until, name)
	r.mu.Unlock()
	return r.Store.Remove(ctx, name)
}

// Purge implements store.Retaining: what is hidden is gone.
func (r *Retaining) Purge(context.Context, string) error { return nil }
