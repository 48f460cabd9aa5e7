package launcher

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkLend is what lending the helper costs an instance, and BenchmarkRead what it
// saves: WorthLending is where they meet.
func BenchmarkLend(b *testing.B) {
	i := newInstance(b, "sh")
	i.lend()
	spent := processors(b)
	for b.Loop() {
		i.Client.lending = lending{}
		if _, err := i.Lend(i.ctx()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(spent()/float64(b.N), "cpu-s/op")
}

func BenchmarkRead(b *testing.B) {
	for _, lent := range []bool{false, true} {
		i := newInstance(b, "sh")
		i.lend()
		if !lent {
			i.Client.lending.lost(nil)
		}
		i.ok(os.MkdirAll(i.dir+"/large", 0o755))
		i.ok(os.WriteFile(i.dir+"/large/f", make([]byte, 256<<20), 0o600))
		for n := range 20000 {
			name := filepath.Join(i.dir, "small", fmt.Sprint(n%100), fmt.Sprint(n))
			i.ok(os.MkdirAll(filepath.Dir(name), 0o755))
			i.ok(os.WriteFile(name, []byte(name), 0o600))
		}
		for _, what := range []string{"large", "small"} {
			b.Run(fmt.Sprintf("%s,helper=%v", what, lent), func(b *testing.B) {
				spent := processors(b)
				for b.Loop() {
					var err error
					if lent {
						err = i.Pack(i.ctx(), what, 0, func(Item) {}, io.Discard)
					} else if err = i.TarOut(i.ctx(), what, 0, io.Discard); err == nil {
						err = i.Inventory(i.ctx(), what, func(Item) {})
					}
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(spent()/float64(b.N), "cpu-s/op")
			})
		}
	}
}

// processors gives, when called, the time of processors since, of what has ended.
func processors(b *testing.B) func() float64 {
	now := func() float64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	began := now()
	return func() float64 { return now() - began }
}
