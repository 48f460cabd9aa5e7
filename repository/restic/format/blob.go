package format

import (
	"fmt"
	"sync"

	"lockstep/repository"
)

// Kind is what a blob is.
type Kind uint8

// The kinds.
const (
	Data Kind = iota // a piece of a file's content
	Tree             // what is in a folder
)

func (k Kind) String() string {
	if k == Tree {
		return "tree"
	}
	return "data"
}

// MarshalText implements encoding.TextMarshaler.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *Kind) UnmarshalText(b []byte) error {
	switch string(b) {
	case "data":
		*k = Data
	case "tree":
		*k = Tree
	default:
		return fmt.Errorf("%w: %q is not a kind of blob", repository.ErrCorrupt, b)
	}
	return nil
}

// Handle is how a blob is asked for.
type Handle struct {
	ID   ID
	Kind Kind
}

func (h Handle) String() string { return fmt.Sprintf("%s blob %s", h.Kind, h.ID.Short()) }

// Blob says where in its pack a blob lies. Its JSON is that of an index.
type Blob struct {
	ID     ID     `json:"id"`
	Kind   Kind   `json:"type"`
	Offset uint32 `json:"offset"`
	// Length is that of the sealed bytes in the pack.
	Length uint32 `json:"length"`
	// Plain is the length before it was compressed; 0 if it was not.
	Plain uint32 `json:"uncompressed_length,omitempty"`
}

// Handle is how it is asked for.
func (b Blob) Handle() Handle { return Handle{b.ID, b.Kind} }

// Size is how long its content is.
func (b Blob) Size() int {
	if b.Plain > 0 {
		return int(b.Plain)
	}
	return int(b.Length) - Overhead
}

// check refuses numbers that no pack has.
func (b Blob) check() error {
	if b.Length < Overhead || uint64(b.Offset)+uint64(b.Length) > MaxPack || b.Plain > maxUnpacked {
		return fmt.Errorf("%w: %s lies at %d with %d bytes", repository.ErrCorrupt, b.Handle(), b.Offset, b.Length)
	}
	return nil
}

// Open decrypts, decompresses and hashes the sealed bytes of a blob: what it
// appends to dst has the blob's ID.
func (b Blob) Open(k *Key, dst, sealed []byte) ([]byte, error) {
	n := len(dst)
	plain, err := b.open(k, dst, sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Handle(), err)
	}
	if Sum(plain[n:]) != b.ID {
		return nil, fmt.Errorf("%w: %s has other content", repository.ErrCorrupt, b.Handle())
	}
	return plain, nil
}

// scratch is for what is decrypted and not yet decompressed.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

func (b Blob) open(k *Key, dst, sealed []byte) ([]byte, error) {
	if b.Plain == 0 {
		return k.Open(dst, sealed)
	}
	mem := scratch.Get().(*[]byte)
	defer scratch.Put(mem)
	packed, err := k.Open((*mem)[:0], sealed)
	if err != nil {
		return nil, err
	}
	*mem = packed
	return Decompress(dst, packed, int(b.Plain))
}
