package ssh_test

import (
	"io"
	"runtime"
	"sync"
	"testing"

	xssh "golang.org/x/crypto/ssh"

	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/ssh"
)

// BenchmarkThousand is 1,000 servers and targets in one process: each target
// holds one session open, as a control session would. It reports the live heap
// and stacks of both ends together.
func BenchmarkThousand(b *testing.B) {
	const count = 1000
	bed := newBed(b)
	host := newKey(b)
	bed.addKnown(b, "@cert-authority * "+authorized(host.PublicKey())+"* "+authorized(host.PublicKey()))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		d := ssh.NewDialer(ssh.DialerOptions{})
		targets := make([]*ssh.Target, count)
		for i := range targets {
			s, err := sshtest.Start(sshtest.Config{
				HostKeys: []xssh.Signer{host}, AuthorizedKeys: []xssh.PublicKey{bed.key.PublicKey()},
			})
			must(b, err)
			b.Cleanup(func() { _ = s.Close() })
			targets[i], err = d.Open(bed.config(s))
			must(b, err)
		}
		var up, ended sync.WaitGroup
		for _, tgt := range targets {
			up.Add(1)
			w, started := ready()
			go func() { <-started; up.Done() }()
			ended.Go(func() {
				_, _ = tgt.Run(b.Context(), "echo; read line", target.Streams{Stdin: blocked{b.Context().Done()}, Stdout: w})
			})
		}
		up.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/count/1024, "KiB-heap/pair")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/count/1024, "KiB-stack/pair")
		must(b, d.Close())
		ended.Wait()
	}
}

// blocked is an input that says nothing until the test ends.
type blocked struct{ until <-chan struct{} }

func (r blocked) Read([]byte) (int, error) { <-r.until; return 0, io.EOF }
