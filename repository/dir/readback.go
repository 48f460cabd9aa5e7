package dir

import (
	"hash/crc32"
	"io"
	"os"
	"sync"
)

// castagnoli is the polynomial of the checksum of whole tar files. Processors
// compute it at memory speed; it finds decay that no entry's digest covers,
// such as in the padding between members.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readBack reads a file behind the one who writes it, and waits for them where
// it has caught up. One goroutine reads, another calls advance and end.
type readBack struct {
	file *os.File
	at   int64
	crc  uint32

	mu      sync.Mutex // guards what follows
	more    sync.Cond
	written int64
	ended   bool
	err     error
}

func newReadBack(file *os.File) *readBack {
	b := &readBack{file: file}
	b.more.L = &b.mu
	return b
}

// advance says that the file has grown to size.
func (b *readBack) advance(size int64) {
	b.mu.Lock()
	b.written = size
	b.mu.Unlock()
	b.more.Signal()
}

// end says that the file will not grow any more; with an error, that it is not
// worth reading. Only the first end counts, but for its error.
func (b *readBack) end(err error) {
	b.mu.Lock()
	b.ended = true
	if err != nil {
		b.err = err
	}
	b.mu.Unlock()
	b.more.Signal()
}

// Read reads from the file what has been written and not yet been read.
func (b *readBack) Read(p []byte) (int, error) {
	n, err := b.wait()
	if err != nil {
		return 0, err
	}
	n, err = b.file.ReadAt(p[:min(int64(len(p)), int64(n))], b.at)
	b.crc = crc32.Update(b.crc, castagnoli, p[:n])
	b.at += int64(n)
	if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// wait returns how much can be read, at least 1.
func (b *readBack) wait() (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.at == b.written && !b.ended {
		b.more.Wait()
	}
	switch {
	case b.err != nil:
		return 0, b.err
	case b.at == b.written:
		return 0, io.EOF
	}
	return int(min(b.written-b.at, 1<<30)), nil
}
