package format

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"lockstep/repository"
)

// Bounds of what is decompressed: a blob is at most as long as its index entry
// says, a file of the repository at most maxUnpacked.
const maxUnpacked = 1 << 30

var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, compression()...)
		if err != nil {
			panic(err) // fails only for bad options
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// compression is how everything is compressed.
func compression() []zstd.EOption {
	return []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(512 << 10), zstd.WithEncoderCRC(false)}
}

// Compress appends the compressed form of plain to dst and reports whether it
// is worth it. A sample from the middle decides first: what looks like random
// bytes costs next to nothing.
func Compress(dst, plain []byte) ([]byte, bool) {
	const look = 16 << 10
	n := len(dst)
	if len(plain) >= 8*look {
		at := len(plain) / 2
		dst = encoder().EncodeAll(plain[at:at+look], dst)
		if len(dst)-n >= look*97/100 {
			return dst[:n], false
		}
		dst = dst[:n]
	}
	dst = encoder().EncodeAll(plain, dst)
	return dst, len(dst)-n < len(plain)
}

// Decompress appends to dst what was compressed, which has size bytes.
func Decompress(dst, packed []byte, size int) ([]byte, error) {
	n := len(dst)
	var head zstd.Header
	if err := head.Decode(packed); err != nil || head.HasFCS && head.FrameContentSize != uint64(size) {
		return nil, fmt.Errorf("%w: it is not compressed as it should be", repository.ErrCorrupt)
	}
	dst, err := decoder().DecodeAll(packed, dst)
	if err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", repository.ErrCorrupt, err)
	}
	if len(dst)-n != size {
		return nil, fmt.Errorf("%w: it decompresses to %d bytes instead of %d", repository.ErrCorrupt, len(dst)-n, size)
	}
	return dst, nil
}

// compressedFile is the first byte of a compressed file of the repository;
// others begin with JSON.
const compressedFile = 2

// EncodeFile is JSON as index, snapshot and lock files hold it, before it is
// sealed.
func EncodeFile(plain []byte) []byte {
	return encoder().EncodeAll(plain, []byte{compressedFile})
}

// DecodeFile undoes EncodeFile.
func DecodeFile(b []byte) ([]byte, error) {
	switch {
	case len(b) == 0 || b[0] == '{' || b[0] == '[':
		return b, nil
	case b[0] != compressedFile:
		return nil, fmt.Errorf("%w: encoding %d of a file is not known", repository.ErrCorrupt, b[0])
	}
	plain, err := decoder().DecodeAll(b[1:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", repository.ErrCorrupt, err)
	}
	return plain, nil
}
