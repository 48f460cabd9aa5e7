package restic

import (
	"context"
	"testing"
	"time"

	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/storetest"
)

// mortalKeeping is a store that keeps files and dies after so many changes.
type mortalKeeping struct {
	*storetest.Retaining
	mortal
}

func (m *mortalKeeping) Save(ctx context.Context, name string, data []byte) error {
	return m.change(func() error { return m.Retaining.Save(ctx, name, data) })
}

func (m *mortalKeeping) Create(ctx context.Context, name string, data []byte) error {
	return m.change(func() error { return m.Retaining.Create(ctx, name, data) })
}

func (m *mortalKeeping) Remove(ctx context.Context, name string) error {
	return m.change(func() error { return m.Retaining.Remove(ctx, name) })
}

func (m *mortalKeeping) SaveUntil(ctx context.Context, name string, data []byte, until time.Time) error {
	return m.change(func() error { return m.Retaining.SaveUntil(ctx, name, data, until) })
}

func (m *mortalKeeping) Retain(ctx context.Context, name string, until time.Time) error {
	return m.change(func() error { return m.Retaining.Retain(ctx, name, until) })
}

func (m *mortalKeeping) Hide(ctx context.Context, name string) error {
	return m.change(func() error { return m.Retaining.Hide(ctx, name) })
}

// The methods that both of what it embeds have.
func (m *mortalKeeping) Load(ctx context.Context, name string, limit int64) ([]byte, error) {
	return m.Retaining.Load(ctx, name, limit)
}

func (m *mortalKeeping) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	return m.Retaining.LoadRange(ctx, dst, name, offset, length)
}

func (m *mortalKeeping) List(ctx context.Context, folder string) ([]store.File, error) {
	return m.Retaining.List(ctx, folder)
}
func (m *mortalKeeping) Free(ctx context.Context) (int64, error) { return m.Retaining.Free(ctx) }
func (m *mortalKeeping) Location() string                        { return m.Retaining.Location() }

// TestDeathUnderObjectLock: whichever change is the last one that a backup makes, no
// committed backup can be removed, and the next one works.
//
//fault:object-lock-death the orchestrator dies at any write of a backup under object lock | no committed backup can be taken away, and the next one works
func TestDeathUnderObjectLock(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		_, s := keeping(t)
		err := backup(t, keepingAt(&mortalKeeping{Retaining: s, mortal: mortal{left: n}}), shop)
		attack(t, s)
		again := keepingAt(s)
		list, listErr := again.List(t.Context(), "")
		if listErr != nil || len(list) == 0 && err == nil {
			t.Fatalf("death at change %d: %d backups, %v", n, len(list), listErr)
		}
		for _, b := range list {
			if err := repositorytest.Reread(t.Context(), again, b.ID); err != nil {
				t.Fatalf("death at change %d, and what can be removed is: %v", n, err)
			}
		}
		if nextErr := backup(t, again, shop+"_9"); nextErr != nil {
			t.Fatalf("death at change %d: the next backup: %v", n, nextErr)
		}
		if err == nil {
			return
		}
	}
}
