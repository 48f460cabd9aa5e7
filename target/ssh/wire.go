package ssh

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire is the byte stream under a connection. It knows when something last
// came in, and that it broke, before anybody above it does. It reads ahead:
// the library asks for a packet's head and then for the rest of that packet,
// which would be two or three system calls for every 32 KiB of a transfer.
type wire struct {
	net.Conn
	lastRead atomic.Int64 // unix nanoseconds
	broken   atomic.Bool

	// The library reads from one goroutine at a time, which has these.
	reads int
	ahead *[readAhead]byte // nil: nothing was read ahead
	rest  []byte           // of ahead, not yet asked for
}

const (
	// setupReads is for how many reads a connection counts as being set up.
	setupReads = 64
	// readAhead is how much is read at once, at most.
	readAhead = 128 << 10
	// headRead is what the library asks for between packets. A connection
	// that waits for one does not hold memory to read ahead: a thousand wait.
	headRead = 4 << 10
)

var readAheads = sync.Pool{New: func() any { return new([readAhead]byte) }}

func (w *wire) Read(p []byte) (int, error) {
	if w.ahead != nil {
		return w.take(p), nil
	}
	if len(p) <= headRead || len(p) >= readAhead {
		return w.receive(p)
	}
	w.ahead = readAheads.Get().(*[readAhead]byte)
	n, err := w.receive(w.ahead[:])
	w.rest = w.ahead[:n]
	if n = w.take(p); n > 0 {
		err = nil // the next read meets it again
	}
	return n, err
}

// take gives of what was read ahead, and the memory back once it is used up.
func (w *wire) take(p []byte) int {
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	if len(w.rest) == 0 {
		readAheads.Put(w.ahead)
		w.ahead, w.rest = nil, nil
	}
	return n
}

func (w *wire) receive(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.lastRead.Store(time.Now().UnixNano())
		if w.reads < setupReads {
			w.reads++
			quickACK(w.Conn)
		}
	}
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}
