package helper

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	frameHead = 5
	buffers   = 4 // that wait to be digested, behind the one that is filled
	listFrame = 32 << 10
	// dealBlock is how much goes to one descriptor before the next one has its turn;
	// as in the launcher's deal.go.
	dealBlock = 2 << 20
)

// buffer is what becomes a frame of the archive. Parts of it are digested beside, and
// it is not used again before.
type buffer struct {
	b    []byte
	n    int // bytes behind the head
	busy sync.WaitGroup
}

// output writes frames. It remembers the first error, behind which nothing is written.
type output struct {
	to      dealer
	archive bool // else what is read goes nowhere
	framer  framer
	ring    [buffers]buffer
	at      int
	list    []byte
	blocks  int64 // bytes of the archive
	err     error
}

func newOutput(fds []int, archive bool) *output {
	o := &output{to: dealer{fds: fds, left: dealBlock}, archive: archive, list: make([]byte, frameHead, listFrame+frameHead)}
	for i := range o.ring {
		o.ring[i].b = make([]byte, frameHead+MaxFrame)
	}
	o.err = o.to.write([]byte(Magic))
	return o
}

// room is where the next bytes of the archive go; used says how many did.
func (o *output) room() []byte {
	b := &o.ring[o.at]
	if b.n == MaxFrame {
		o.flush()
		b = &o.ring[o.at]
	}
	return b.b[frameHead+b.n:]
}

func (o *output) used(n int) {
	o.ring[o.at].n += n
	o.blocks += int64(n)
}

// filling is the buffer that room is in.
func (o *output) filling() *buffer { return &o.ring[o.at] }

// put copies bytes into the archive.
func (o *output) put(p []byte) {
	for len(p) > 0 {
		n := copy(o.room(), p)
		o.used(n)
		p = p[n:]
	}
}

// zeros puts n of them into the archive.
func (o *output) zeros(n int64) {
	for n > 0 {
		p := o.room()
		p = p[:min(int64(len(p)), n)]
		clear(p)
		o.used(len(p))
		n -= int64(len(p))
	}
}

// pad fills up a block of 512 bytes.
func (o *output) pad() { o.zeros(-o.blocks & 511) }

// endArchive is two blocks of zeros, and a whole record as with `tar -b 64`.
func (o *output) endArchive() {
	o.zeros(1024)
	o.zeros(-o.blocks & (64*512 - 1))
}

// flush writes what has been filled, and waits for the next buffer.
func (o *output) flush() {
	b := &o.ring[o.at]
	if o.archive && b.n > 0 {
		f := o.framer.frame(b.b[:frameHead+b.n])
		began := time.Now()
		o.write(f)
		o.framer.passed(time.Since(began))
	}
	o.at = (o.at + 1) % buffers
	next := &o.ring[o.at]
	next.busy.Wait()
	next.n = 0
}

// frame writes p, in which there is room for the head.
func (o *output) frame(kind byte, p []byte) {
	o.write(headed(kind, p))
}

func (o *output) write(p []byte) {
	if o.err == nil {
		o.err = o.to.write(p)
	}
}

// listed writes the list as far as there is a frame of it.
func (o *output) listed(all bool) {
	if len(o.list) > frameHead && (all || len(o.list) > listFrame-8<<10) {
		o.frame('l', o.list)
		o.list = o.list[:frameHead]
	}
}

// end says that all has been said.
func (o *output) end() error {
	o.flush()
	o.list = append(o.list, "end\x00"...)
	o.listed(true)
	o.frame('x', make([]byte, frameHead))
	return o.err
}

// dealer writes to several descriptors in turn, to each a block.
type dealer struct {
	fds        []int
	turn, left int
}

func (d *dealer) write(p []byte) error {
	for len(p) > 0 {
		n := len(p)
		if len(d.fds) > 1 {
			n = min(n, d.left)
		}
		n, err := unix.Write(d.fds[d.turn], p[:n])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return failed("write", "standard output", err)
		}
		p = p[n:]
		if d.left -= n; d.left <= 0 {
			d.turn, d.left = (d.turn+1)%len(d.fds), dealBlock
		}
	}
	return nil
}
