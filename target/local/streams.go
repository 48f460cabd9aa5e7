package local

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// stream is where one output of a command goes, and the command's slot for it.
type stream struct {
	to   io.Writer
	slot *io.Writer
}

// feed copies input to the command. A command that does not read it all is not
// an error; closing to ends a Write that is blocked.
func feed(to *os.File, from io.Reader, fail func(error)) {
	source := &source{from: from}
	_, _ = io.Copy(to, source)
	if source.err != nil {
		fail(source.err)
	}
	_ = to.Close()
}

// source remembers why reading ended, when it was not the end of the input.
type source struct {
	from io.Reader
	err  error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// drain carries one output of a command.
type drain struct {
	from  *os.File
	to    io.Writer
	fail  func(error)
	ended atomic.Bool // the command has ended: wait no longer than the grace
	done  chan struct{}
}

func newDrain(to io.Writer, fail func(error)) (*drain, *os.File, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &drain{from: read, to: to, fail: fail, done: make(chan struct{})}, write, nil
}

// run copies until the end of the output, or until the command has ended and
// nothing came for the drain grace.
func (d *drain) run() {
	defer close(d.done)
	defer d.from.Close()
	buf := make([]byte, 64<<10)
	for {
		if d.ended.Load() {
			_ = d.from.SetReadDeadline(time.Now().Add(drainGrace))
		}
		n, err := d.from.Read(buf)
		if n > 0 {
			if _, werr := d.to.Write(buf[:n]); werr != nil {
				d.fail(werr)
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// finish is called when the command has ended; it returns when the output has.
func (d *drain) finish() {
	d.ended.Store(true)
	_ = d.from.SetReadDeadline(time.Now().Add(drainGrace))
	<-d.done
}
