package restic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
)

// memoryStore is a store that counts what it is asked.
type memoryStore struct {
	mu    sync.Mutex
	files map[string][]byte
	loads map[string]int
	// now is how many reads of packs are going on, and most how many were at once.
	now, most int
}

// begin forgets what was counted.
func (m *memoryStore) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.loads)
	m.now, m.most = 0, 0
}

func newMemory() *memoryStore {
	return &memoryStore{files: map[string][]byte{}, loads: map[string]int{}}
}

func (m *memoryStore) Save(_ context.Context, name string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = bytes.Clone(data)
	return nil
}

func (m *memoryStore) Create(ctx context.Context, name string, data []byte) error {
	m.mu.Lock()
	_, there := m.files[name]
	m.mu.Unlock()
	if there {
		return store.ErrExists
	}
	return m.Save(ctx, name, data)
}

func (m *memoryStore) load(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, _, _ := strings.Cut(name, "/")
	m.loads[folder]++
	b, ok := m.files[name]
	if !ok {
		return nil, store.ErrNotFound
	}
	return b, nil
}

func (m *memoryStore) Load(_ context.Context, name string, _ int64) ([]byte, error) {
	return m.load(name)
}

func (m *memoryStore) LoadRange(_ context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	m.reading(1)
	defer m.reading(-1)
	time.Sleep(time.Millisecond) // others come meanwhile
	b, err := m.load(name)
	if err == nil && offset+length > int64(len(b)) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return append(dst, b[offset:offset+length]...), nil
}

func (m *memoryStore) reading(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now += n
	m.most = max(m.most, m.now)
}

func (m *memoryStore) List(_ context.Context, folder string) ([]store.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads["list "+folder]++
	var list []store.File
	for name, b := range m.files {
		if strings.HasPrefix(name, folder+"/") {
			list = append(list, store.File{Name: name, Size: int64(len(b))})
		}
	}
	return list, nil
}

func (m *memoryStore) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.files[name]; !ok {
		return store.ErrNotFound
	}
	delete(m.files, name)
	return nil
}

func (m *memoryStore) Free(context.Context) (int64, error) { return -1, nil }
func (m *memoryStore) Location() string                    { return "memory" }

// manyBackups is a store with so many empty backups.
func manyBackups(t *testing.T, n int) *memoryStore {
	t.Helper()
	m := newMemory()
	r := keepingAt(m)
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := r.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for i := range n {
		if err := r.commit(t.Context(), v, repositorytest.Manifest(lockstep.BackupID(fmt.Sprintf("shop_20261122T%06dZ", i)))); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestAListCostsTheSameForEachBackup: however many there are, each takes the same few
// reads, and none once it was listed; and they do not wait for one another.
func TestAListCostsTheSameForEachBackup(t *testing.T) {
	t.Parallel()
	for _, n := range []int{10, 100} {
		m := manyBackups(t, n)
		r := keepingAt(m)
		if _, err := r.Identity(t.Context()); err != nil {
			t.Fatal(err)
		}
		for again, want := range []map[string]int{
			{"data": 3 * n, "index": n, "snapshots": n, "list data": 1, "list index": 1, "list snapshots": 2, "list lockstep/rotten": 1, "list lockstep/verified": 1},
			{"list snapshots": 2, "list lockstep/verified": 1},
		} {
			m.begin()
			list, err := r.List(t.Context(), "")
			if err != nil || len(list) != n {
				t.Fatalf("%d backups, %v", len(list), err)
			}
			if diff := cmp.Diff(want, m.loads); diff != "" {
				t.Errorf("a list of %d, %d before it (-want +got):\n%s", n, again, diff)
			}
			if again == 0 && m.most < 2 {
				t.Errorf("%d manifests were read at once", m.most)
			}
		}
	}
}
