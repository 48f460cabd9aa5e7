package helper

import (
	"crypto/sha256"
	"hash"
	"sync"
)

// small is up to how many bytes are digested by who reads them: a word to another
// thread costs as much.
const small = 128 << 10

// digester takes the SHA-256 of one file after another, of a large one beside who
// reads it.
type digester struct {
	h      hash.Hash
	beside bool
	jobs   chan job
	sums   chan [32]byte
}

// job is bytes, or how many zeros, or, without either, the end of a file.
type job struct {
	p     []byte
	zeros int64
	busy  *sync.WaitGroup
}

func newDigester() digester { return digester{h: sha256.New()} }

// begin is called for each file first.
func (d *digester) begin(size int64) {
	d.h.Reset()
	d.beside = size > small
	if d.beside && d.jobs == nil {
		d.jobs, d.sums = make(chan job, buffers), make(chan [32]byte)
		go d.work(d.jobs)
	}
}

// write takes in bytes of a buffer.
func (d *digester) write(p []byte, of *buffer) {
	if !d.beside {
		d.h.Write(p)
		return
	}
	of.busy.Add(1)
	d.jobs <- job{p: p, busy: &of.busy}
}

// zeros takes in n of them.
func (d *digester) zeros(n int64) {
	switch {
	case n <= 0:
	case d.beside:
		d.jobs <- job{zeros: n}
	default:
		writeZeros(d.h, n)
	}
}

func writeZeros(h hash.Hash, n int64) {
	var zeros [4096]byte
	for n > 0 {
		m := min(n, int64(len(zeros)))
		h.Write(zeros[:m])
		n -= m
	}
}

// end gives the digest.
func (d *digester) end() (sum [32]byte) {
	if d.beside {
		d.jobs <- job{}
		return <-d.sums
	}
	d.h.Sum(sum[:0])
	return sum
}

// work does the jobs, whose end close may tell before the first of them is looked at.
func (d *digester) work(jobs <-chan job) {
	for j := range jobs {
		switch {
		case j.busy != nil:
			d.h.Write(j.p)
			j.busy.Done()
		case j.zeros > 0:
			writeZeros(d.h, j.zeros)
		default:
			var sum [32]byte
			d.h.Sum(sum[:0])
			d.sums <- sum
		}
	}
}

func (d *digester) close() {
	if d.jobs != nil {
		close(d.jobs)
		d.jobs = nil
	}
}
