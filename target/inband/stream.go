package inband

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// statusSize is the length of what follows the marker: three digits.
const statusSize = 3

// stuck is how long a write of the caller's is waited for when nobody wants more.
const stuck = 250 * time.Millisecond

var errClosed = errors.New("the run has ended")

// stream passes one output on, up to its trailer.
type stream struct {
	marker  []byte
	to      io.Writer
	arrived func() // called once, with the trailer

	held []byte // the end of what came, where a trailer may have begun
	over bool
	code int // valid once over

	idle   atomic.Bool // nothing is being written to the caller
	mu     sync.Mutex  // held during a write to the caller
	closed bool
}

func newStream(marker []byte, to io.Writer, arrived func()) *stream {
	if to == nil {
		to = io.Discard
	}
	s := &stream{marker: marker, to: to, arrived: arrived}
	s.idle.Store(true)
	return s
}

// Write takes what came. What belongs to the trailer is not passed on.
func (s *stream) Write(p []byte) (int, error) {
	if s.over {
		return len(p), nil // of a process that was left behind
	}
	b := p
	if len(s.held) > 0 {
		b = append(s.held, p...)
		s.held = nil
	}
	data, rest := s.cut(b)
	if err := s.pass(data); err != nil {
		return 0, err
	}
	if len(rest) < len(s.marker)+statusSize {
		s.held = bytes.Clone(rest)
		return len(p), nil
	}
	code, err := parse(rest[len(s.marker):][:statusSize])
	if err != nil {
		return 0, err
	}
	s.over, s.code = true, code
	s.arrived()
	return len(p), nil
}

// cut divides what came into output, and the trailer as far as it is there.
func (s *stream) cut(b []byte) (data, rest []byte) {
	if i := bytes.Index(b, s.marker); i >= 0 {
		return b[:i], b[i:]
	}
	for n := min(len(b), len(s.marker)-1); n > 0; n-- {
		if bytes.HasPrefix(s.marker, b[len(b)-n:]) {
			return b[:len(b)-n], b[len(b)-n:]
		}
	}
	return b, nil
}

func (s *stream) pass(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.idle.Store(false)
	defer s.idle.Store(true)
	n, err := s.to.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("write the command's output: %w", err)
	}
	return nil
}

func (s *stream) close() {
	shut := make(chan struct{})
	go func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(shut)
	}()
	if s.idle.Load() {
		<-shut
		return
	}
	select {
	case <-shut:
	case <-time.After(stuck):
	}
}

// parse reads the status of a trailer.
func parse(status []byte) (code int, err error) {
	n, err := strconv.ParseUint(string(status), 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%q is not an exit status", status)
	}
	return int(n), nil
}
