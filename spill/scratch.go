package spill

import (
	"io"
	"os"
)

// Scratch is a temporary file for what is written once, in order, and read again. Its
// errors wrap ErrSpill. Close ends its use; of nil it does nothing.
type Scratch struct {
	pool *Pool
	file *os.File
}

// Scratch makes an empty one.
func (p *Pool) Scratch() (*Scratch, error) {
	f, err := p.file()
	if err != nil {
		return nil, err
	}
	return &Scratch{p, f}, nil
}

// Write implements io.Writer.
func (s *Scratch) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	if err != nil {
		err = s.pool.trouble(err)
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (s *Scratch) ReadAt(p []byte, at int64) (int, error) {
	n, err := s.file.ReadAt(p, at)
	if err != nil && n < len(p) && err != io.EOF {
		err = s.pool.trouble(err)
	}
	return n, err
}

// Close gives its place back.
func (s *Scratch) Close() {
	if s != nil {
		s.file.Close() // nothing in it is wanted any more
	}
}
