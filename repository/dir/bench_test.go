package dir

import (
	"archive/tar"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lockstep/repository/repositorytest"
)

// benchStream is a tar of one file of that many bytes that do not compress,
// made once and read many times.
func benchStream(b *testing.B, size int64) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "in.tar")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := tar.NewWriter(f)
	err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "./big", Size: size, Mode: 0o600})
	var seed [32]byte
	_, err2 := io.CopyN(w, rand.NewChaCha8(seed), size)
	if err := errors.Join(err, err2, w.Close(), f.Close()); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkPut is Put of 512 MiB against writing and syncing the same bytes
// without looking at them, in turn; the ratio is of their medians.
func BenchmarkPut(b *testing.B) {
	in := benchStream(b, 512<<20)
	b.SetBytes(512 << 20)
	r := open(b)
	var put, plain []time.Duration
	timed := func(times *[]time.Duration, f func(io.Reader) error) {
		src, err := os.Open(in)
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := errors.Join(f(struct{ io.Reader }{src}), src.Close()); err != nil {
			b.Fatal(err)
		}
		*times = append(*times, time.Since(start))
	}
	for b.Loop() {
		id := repositorytest.Begin(b, r, shop)
		timed(&put, func(src io.Reader) error {
			_, err := r.Put(b.Context(), id, "a", src)
			return err
		})
		b.StopTimer()
		if err := r.Discard(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		timed(&plain, func(src io.Reader) error { return plainCopy(filepath.Join(r.path, "plain"), src) })
		b.StartTimer()
	}
	slices.Sort(put)
	slices.Sort(plain)
	b.ReportMetric(float64(put[len(put)/2])/float64(plain[len(plain)/2]), "x-plain-copy")
	b.Logf("put %v, plain copy and sync %v", put, plain)
}

func plainCopy(path string, src io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, src, make([]byte, putChunk))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}
