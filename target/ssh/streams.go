package ssh

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A buffer begins small, so that a thousand sessions that wait cost little,
// and becomes large once it was filled busyReads times in a row: a transfer
// does that at once, pushing a script does not.
const (
	smallBuffer = 2 << 10
	largeBuffer = 64 << 10
	busyReads   = 32
)

// buffer is what a stream is read into.
type buffer struct {
	bytes  []byte
	filled int // reads in a row that filled it
}

func newBuffer() *buffer { return &buffer{bytes: make([]byte, smallBuffer)} }

// saw notes how much a read gave, which chooses the size for the next one.
func (b *buffer) saw(n int) {
	switch {
	case n < len(b.bytes):
		b.filled = 0
	case len(b.bytes) < largeBuffer:
		if b.filled++; b.filled == busyReads {
			b.bytes = make([]byte, largeBuffer)
		}
	}
}

// sink carries one output stream of a command to the caller's writer.
type sink struct {
	w     io.Writer
	done  chan error   // one value: nil at the stream's end, else the writer's error
	taken atomic.Int64 // bytes read so far

	reading atomic.Bool // blocked in, or about to enter, a read
	ended   atomic.Bool

	mu      sync.Mutex // held during a write
	stopped bool
}

func newSink(w io.Writer) *sink {
	if w == nil {
		w = io.Discard
	}
	return &sink{w: w, done: make(chan error, 1)}
}

// waiting reports whether all that was read has been written.
func (s *sink) waiting() bool { return s.reading.Load() || s.ended.Load() }

func (s *sink) drain(r io.Reader) {
	err := s.copy(r)
	s.ended.Store(true)
	s.done <- err
}

func (s *sink) copy(r io.Reader) error {
	buf := newBuffer()
	for {
		s.reading.Store(true)
		n, err := r.Read(buf.bytes)
		s.taken.Add(int64(n))
		s.reading.Store(false)
		if n > 0 {
			if werr := s.write(buf.bytes[:n]); werr != nil {
				return werr
			}
		}
		if err != nil {
			return nil // the end, or a broken connection: see wait
		}
		buf.saw(n)
	}
}

var errStopped = errors.New("the run has ended")

func (s *sink) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errStopped
	}
	n, err := s.w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write the command's output: %w", err)
	}
	return nil
}

// stop makes sure that the caller's writer is not written to any more. A
// write that is under way is waited for, but not for long: it may be stuck.
func (s *sink) stop() {
	if s.ended.Load() {
		return
	}
	idle := make(chan struct{})
	go func() {
		s.mu.Lock()
		s.stopped = true
		s.mu.Unlock()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(250 * time.Millisecond):
	}
}

// feed carries the caller's stdin to the command. An input that broke off is
// not an input that ended: the command is not told an end then.
func (s *session) feed(r io.Reader) {
	buf := newBuffer()
	for r != nil {
		n, err := r.Read(buf.bytes)
		if n > 0 {
			if _, werr := s.channel.Write(buf.bytes[:n]); werr != nil {
				return // the command or the connection has ended, or closed its stdin
			}
		}
		if err == io.EOF { // a wrapped EOF is a failure, not the end
			break
		}
		if err != nil {
			s.stdin <- fmt.Errorf("read the command's input: %w", err)
			return
		}
		buf.saw(n)
	}
	_ = s.channel.CloseWrite()
}
