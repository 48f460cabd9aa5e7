package format

import (
	"encoding/binary"
	"fmt"
	"slices"

	"lockstep/repository"
)

// A pack is sealed blobs, one behind the other, then their sealed header, then
// the header's length in four bytes.
const (
	// PackSize is when a pack is full: it may be longer by one blob.
	PackSize = 16 << 20
	// MaxPack is longer than any pack.
	MaxPack = 1 << 31

	// growAtOnce is from which length on a pack gets all the memory that it may
	// need: growing little by little would copy it again and again.
	growAtOnce = 1 << 20

	// packBlobs is how many blobs make a pack full, too, however short they are: stock
	// restic reads no header beyond 16 MiB, and what is known of each is kept in memory
	// until its pack is in an index.
	packBlobs = 40_000

	headerTail  = 4
	plainEntry  = 1 + 4 + 32
	packedEntry = 1 + 4 + 4 + 32
	packedFlag  = 2
)

// Pack is one that is being filled. One goroutine uses it at a time.
type Pack struct {
	Bytes []byte
	Blobs []Blob
}

// Add appends the sealed bytes of a blob; offset and length of b are set here.
func (p *Pack) Add(b Blob, sealed []byte) {
	b.Offset, b.Length = uint32(len(p.Bytes)), uint32(len(sealed))
	if need := len(p.Bytes) + len(sealed); need > cap(p.Bytes) && need > growAtOnce {
		p.Bytes = slices.Grow(p.Bytes, max(PackSize+PackSize/4, need)-len(p.Bytes))
	}
	p.Bytes, p.Blobs = append(p.Bytes, sealed...), append(p.Blobs, b)
}

// Take makes the sealed bytes of one blob all that the pack has, without a copy of them.
func (p *Pack) Take(b Blob, sealed []byte) {
	b.Offset, b.Length = 0, uint32(len(sealed))
	p.Bytes, p.Blobs = sealed, []Blob{b}
}

// Full reports whether it is long enough.
func (p *Pack) Full() bool { return len(p.Bytes) >= PackSize || len(p.Blobs) >= packBlobs }

// Finish appends the header; the pack is whole then.
func (p *Pack) Finish(k *Key) {
	var head []byte
	for _, b := range p.Blobs {
		kind := byte(b.Kind)
		if b.Plain > 0 {
			kind |= packedFlag
		}
		head = binary.LittleEndian.AppendUint32(append(head, kind), b.Length)
		if b.Plain > 0 {
			head = binary.LittleEndian.AppendUint32(head, b.Plain)
		}
		head = append(head, b.ID[:]...)
	}
	at := len(p.Bytes)
	p.Bytes = k.Seal(p.Bytes, head)
	p.Bytes = binary.LittleEndian.AppendUint32(p.Bytes, uint32(len(p.Bytes)-at))
}

// HeaderSize is how long the header of those blobs is, its length included.
func HeaderSize(blobs []Blob) int {
	n := Overhead + headerTail
	for _, b := range blobs {
		if n += plainEntry; b.Plain > 0 {
			n += packedEntry - plainEntry
		}
	}
	return n
}

// ReadHeader reads the blobs of a whole pack.
func ReadHeader(k *Key, pack []byte) ([]Blob, error) {
	if len(pack) < headerTail {
		return nil, fmt.Errorf("%w: a pack of %d bytes", repository.ErrCorrupt, len(pack))
	}
	end := len(pack) - headerTail
	n := int(binary.LittleEndian.Uint32(pack[end:]))
	if n > end {
		return nil, fmt.Errorf("%w: a pack's header of %d bytes", repository.ErrCorrupt, n)
	}
	head, err := k.Open(nil, pack[end-n:end])
	if err != nil {
		return nil, fmt.Errorf("a pack's header: %w", err)
	}
	return parseHeader(head, end-n)
}

// parseHeader reads a header of blobs that are size bytes together.
func parseHeader(head []byte, size int) ([]Blob, error) {
	var blobs []Blob
	at := uint32(0)
	for len(head) > 0 {
		entry := plainEntry
		if head[0]&packedFlag != 0 {
			entry = packedEntry
		}
		if head[0] > packedFlag+1 || len(head) < entry {
			return nil, fmt.Errorf("%w: a pack's header is malformed", repository.ErrCorrupt)
		}
		b := Blob{Kind: Kind(head[0] & 1), Offset: at, Length: binary.LittleEndian.Uint32(head[1:]), ID: ID(head[entry-32 : entry])}
		if entry == packedEntry {
			b.Plain = binary.LittleEndian.Uint32(head[5:])
		}
		if err := b.check(); err != nil {
			return nil, err
		}
		blobs, head, at = append(blobs, b), head[entry:], at+b.Length
	}
	if int(at) != size {
		return nil, fmt.Errorf("%w: a pack's blobs have %d bytes, its header says %d", repository.ErrCorrupt, size, at)
	}
	return slices.Clip(blobs), nil
}
