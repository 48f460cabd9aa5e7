//go:build restictest

package restic

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository/repositorytest"
)

// cost is what writing something took.
type cost struct {
	wall, cpu time.Duration
	stored    int64
}

// BenchmarkAgainstStock writes the same data with stock restic and with us, one
// after the other on the same disk, and reports ratios: ours by restic's. Wall
// times count only on a machine that does nothing else; processor times are
// firmer.
//
//	LOCKSTEP_BENCH_MIB=1024 test/restic/run -run '^$' -bench Stock -benchtime 5x
func BenchmarkAgainstStock(b *testing.B) {
	mib := 256
	_, _ = fmt.Sscan(os.Getenv("LOCKSTEP_BENCH_MIB"), &mib)
	for name, fill := range map[string]func(io.Writer, int64){"random": random, "text": text} {
		file := filepath.Join(b.TempDir(), name)
		f, err := os.Create(file)
		if err != nil {
			b.Fatal(err)
		}
		fill(f, int64(mib)<<20)
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			var theirs, ours cost
			for range b.N {
				theirs.add(stockBackup(b, file))
				ours.add(ourBackup(b, file))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ratio(ours.wall, theirs.wall), "wall-ratio")
			b.ReportMetric(ratio(ours.cpu, theirs.cpu), "cpu-ratio")
			b.ReportMetric(ratio(ours.stored, theirs.stored), "size-ratio")
			b.ReportMetric(ours.cpu.Seconds()/float64(b.N)/float64(mib)*1024, "cpu-s/GiB")
		})
	}
}

func (c *cost) add(d cost) { c.wall, c.cpu, c.stored = c.wall+d.wall, c.cpu+d.cpu, c.stored+d.stored }

func ratio[T ~int64](a, b T) float64 { return float64(a) / float64(b) }

func random(w io.Writer, n int64) {
	_, _ = io.CopyN(w, rand.NewChaCha8([32]byte{7}), n)
}

// text is lines of a log: words that come again, numbers that do not.
func text(w io.Writer, n int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := []string{"select", "from", "orders", "where", "customer", "insert", "begin", "commit", "index", "scan", "error", "timeout", "session", "opened", "closed"}
	var line bytes.Buffer
	for n > 0 {
		line.Reset()
		fmt.Fprintf(&line, "2026-11-%02dT%02d:%02d:%02dZ id=%d", rng.IntN(30)+1, rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.Uint32())
		for range 6 + rng.IntN(6) {
			line.WriteString(" " + words[rng.IntN(len(words))])
		}
		line.WriteByte('\n')
		m, _ := w.Write(line.Bytes()[:min(int64(line.Len()), n)])
		n -= int64(m)
	}
}

func stockBackup(b *testing.B, file string) cost {
	b.Helper()
	s := newSite(b)
	s.stock("init", "--repository-version", "2")
	in, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	c := exec.CommandContext(b.Context(), "restic", "backup", "--stdin")
	c.Stdin, c.Env = in, s.environment()
	begin := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return cost{time.Since(begin), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), sizeOf(b, s.path)}
}

// ourBackup makes a backup of one artifact of one file. What makes the tar is
// part of the cost.
func ourBackup(b *testing.B, file string) cost {
	b.Helper()
	s := made(b)
	in, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		b.Fatal(err)
	}
	pr, pw := io.Pipe()
	begin, before := time.Now(), processorTime()
	go func() {
		w := tar.NewWriter(pw)
		err := w.WriteHeader(&tar.Header{Name: "./stdin", Typeflag: tar.TypeReg, Mode: 0o600, Size: info.Size()})
		if err == nil {
			_, err = io.Copy(w, in)
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
	}()
	id := repositorytest.Begin(b, s.ours, "shop_20261122T144241Z")
	c, err := s.ours.Put(b.Context(), id, "a", pr)
	if err != nil {
		b.Fatal(err)
	}
	repositorytest.Commit(b, s.ours, repositorytest.Manifest(id, lockstep.Artifact{Name: "a", Bytes: c.Bytes, Digest: c.Digest}))
	return cost{time.Since(begin), processorTime() - before, sizeOf(b, s.path)}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sizeOf(b *testing.B, path string) int64 {
	b.Helper()
	var n int64
	err := filepath.Walk(path, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return n
}
