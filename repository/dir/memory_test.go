package dir

import (
	"archive/tar"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/spill"
)

// TestManyLongListsAtOnce: what eight large artifacts at once take is bounded by the
// budget of the process, not by their names: when they are put, committed, verified
// and restored. In memory their lists would take more than their names.
//
//fault:57 eight artifacts with very many long names at once | they are put, committed, verified and read within the memory of one budget
func TestManyLongListsAtOnce(t *testing.T) { // not parallel: it counts the heap
	const artifacts, entries, length = 8, 3_000, 1000
	defer spill.Configure(spill.DefaultBudget, "")
	spill.Configure(2<<20, t.TempDir())
	r, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, shop)
	all := make([]lockstep.Artifact, artifacts)
	var put, read atLeast
	atOnce(artifacts, func(i int) {
		c, err := r.Put(t.Context(), id, fmt.Sprint("a", i), &watched{r: tarOf(entries, length), live: &put})
		if err != nil {
			t.Error(err)
		}
		all[i] = lockstep.Artifact{Name: fmt.Sprint("a", i), Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest}
	})
	repositorytest.Commit(t, r, repositorytest.Manifest(id, all...))
	atOnce(artifacts, func(i int) {
		if _, err := repository.Verify(t.Context(), r, id, all[i], nil); err != nil || all[i].Entries != entries {
			t.Error(all[i].Entries, err)
		}
		in, err := repository.Verified(t.Context(), r, id, all[i])
		if err != nil {
			t.Error(err)
			return
		}
		defer in.Close()
		if _, err := io.Copy(io.Discard, &watched{r: in, live: &read}); err != nil {
			t.Error(err)
		}
	})
	const names = artifacts * entries * length >> 10
	for what, live := range map[string]int64{"put": put.n >> 10, "restored": read.n >> 10} {
		if live > names*3/4 || live == 0 {
			t.Errorf("while artifacts with %d KiB of names are %s, %d KiB are in use", names, what, live)
		}
	}
}

func atOnce(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// atLeast is the largest heap that was seen. Reading goes on beside reading, looking
// beside nothing: what is allocated while a collection marks would count as in use.
type atLeast struct {
	mu sync.RWMutex
	n  int64
}

func (a *atLeast) look() {
	a.mu.Lock()
	defer a.mu.Unlock()
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	a.n = max(a.n, int64(live[0].Value.Uint64()))
}

// watched looks at the heap now and then.
type watched struct {
	r    io.Reader
	live *atLeast
	n    int
}

func (w *watched) Read(p []byte) (int, error) {
	w.live.mu.RLock()
	n, err := w.r.Read(p)
	w.live.mu.RUnlock()
	if w.n += n; w.n > 1<<20 || err == io.EOF {
		w.n = 0
		w.live.look()
	}
	return n, err
}

// tarOf streams an archive of that many empty files, in no order.
func tarOf(entries, length int) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		w := tar.NewWriter(pw)
		pad := strings.Repeat("n", length-8)
		for i := range entries {
			h := &tar.Header{Name: fmt.Sprintf("./%08d", i*7919%entries) + pad, Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX}
			if err := w.WriteHeader(h); err != nil {
				pw.CloseWithError(err)
				return
			}
		}
		pw.CloseWithError(w.Close())
	}()
	return pr
}
