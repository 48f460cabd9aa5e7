package helper

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// framer makes the frames of an archive: each compressed by itself, or as it is.
type framer struct {
	pace   pace
	zstd   *zstd.Encoder // nil until the first is compressed
	packed []byte
	n      int       // bytes of the archive in the last frame
	sent   int       // bytes that became of them
	ended  time.Time // when the last frame was on its way
}

// frame gives the frame of p, which has room for its head, and after it any number of
// bytes up to MaxFrame. It is good until the next call.
func (f *framer) frame(p []byte) []byte {
	if f.ended.IsZero() {
		f.ended = time.Now()
	}
	f.n, f.sent = len(p)-frameHead, len(p)-frameHead
	if f.pace.compress {
		if z := f.pack(p); len(z) < len(p) {
			f.sent = len(z) - frameHead
			return headed('z', z)
		}
	}
	return headed('a', p)
}

// pack compresses what is behind the head.
func (f *framer) pack(p []byte) []byte {
	if f.zstd == nil {
		var err error
		f.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(MaxFrame), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // fails only for bad options
		}
		f.packed = make([]byte, frameHead, frameHead+MaxFrame+MaxFrame/8)
	}
	return f.zstd.EncodeAll(p[frameHead:], f.packed[:frameHead])
}

// passed notes that the last frame is on its way, which was waited for so long.
func (f *framer) passed(waited time.Duration) {
	now := time.Now()
	f.pace.passed(f.n, f.sent, now.Sub(f.ended), waited)
	f.ended = now
}

// headed puts the head before what p has behind the room for it.
func headed(kind byte, p []byte) []byte {
	p[0] = kind
	binary.BigEndian.PutUint32(p[1:], uint32(len(p)-frameHead))
	return p
}

// Framed is an archive on its way to the verb place: read from it are the frames of
// what from gives. Whoever reads it slowly gets it compressed, if that helps. It is for
// one reader; errors are those of from, behind the frames of what came before.
type Framed struct {
	from   io.Reader
	framer framer
	buf    []byte
	left   []byte // of the last frame
	err    error
	given  time.Time // when Read returned last
	waited time.Duration
}

// NewFramed begins to read from; that it does not close.
func NewFramed(from io.Reader) *Framed {
	return &Framed{from: from, buf: make([]byte, frameHead+MaxFrame)}
}

// Read gives the next bytes of frames.
func (f *Framed) Read(p []byte) (int, error) {
	if !f.given.IsZero() {
		f.waited += time.Since(f.given)
	}
	if len(f.left) == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	f.given = time.Now()
	return n, nil
}

// next makes the next frame, as full as there is something to fill it.
func (f *Framed) next() error {
	if f.framer.n > 0 {
		f.framer.passed(f.waited)
		f.waited = 0
	}
	n := 0
	for n < MaxFrame && f.err == nil {
		var more int
		more, f.err = f.from.Read(f.buf[frameHead+n:])
		n += more
	}
	if n == 0 {
		return f.err
	}
	f.left = f.framer.frame(f.buf[:frameHead+n])
	return nil
}

// Unpacker takes out what is in compressed frames. The zero Unpacker is ready; it is
// for one goroutine.
type Unpacker struct {
	zstd *zstd.Decoder
	buf  []byte
}

var errPacked = errors.New("a compressed frame is malformed")

// Unpack gives what is in a frame of kind z, at most MaxFrame bytes; it is good until
// the next call.
func (u *Unpacker) Unpack(z []byte) ([]byte, error) {
	if u.zstd == nil {
		var err error
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxFrame), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err) // fails only for bad options
		}
		u.buf = make([]byte, 0, MaxFrame)
	}
	p, err := u.zstd.DecodeAll(z, u.buf)
	if err != nil || len(p) == 0 {
		return nil, fmt.Errorf("%w: %v", errPacked, err)
	}
	return p, nil
}

// unframed reads the archive that is in frames.
type unframed struct {
	in   *bufio.Reader
	z    Unpacker
	buf  []byte
	left []byte // of a compressed frame
	raw  int    // bytes of a frame as it is that are still to come
}

func newUnframed(in io.Reader) *unframed {
	return &unframed{in: bufio.NewReaderSize(in, 64<<10)}
}

// Read ends with io.EOF only behind a whole frame.
func (u *unframed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(u.left) == 0 && u.raw == 0 {
		if err := u.next(); err != nil {
			return 0, err
		}
	}
	if u.raw == 0 {
		n := copy(p, u.left)
		u.left = u.left[n:]
		return n, nil
	}
	n, err := u.in.Read(p[:min(len(p), u.raw)])
	u.raw -= n
	return n, whole(err)
}

// whole is err of what must go on.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (u *unframed) next() error {
	var head [frameHead]byte
	if _, err := io.ReadFull(u.in, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[1:])
	switch {
	case size == 0 || size > MaxFrame:
	case head[0] == 'a':
		u.raw = int(size)
		return nil
	case head[0] == 'z':
		return u.unpack(int(size))
	}
	return fmt.Errorf("a frame %q of %d bytes", head[0], size)
}

func (u *unframed) unpack(size int) error {
	if u.buf == nil {
		u.buf = make([]byte, MaxFrame)
	}
	if _, err := io.ReadFull(u.in, u.buf[:size]); err != nil {
		return whole(err)
	}
	var err error
	u.left, err = u.z.Unpack(u.buf[:size])
	return err
}
