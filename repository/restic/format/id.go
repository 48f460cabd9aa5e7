package format

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"lockstep/repository"
)

// ID is the SHA-256 by which a blob or a file is known.
type ID [sha256.Size]byte

// Sum is the ID of those bytes.
func Sum(b []byte) ID { return sha256.Sum256(b) }

// RandomID is one that nothing has.
func RandomID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	return id
}

// ParseID reads 64 hex digits in lower case.
func ParseID(s string) (ID, error) {
	var id ID
	if n, err := hex.Decode(id[:], []byte(s)); err != nil || n != len(id) || len(s) != 2*len(id) || id.String() != s {
		return ID{}, fmt.Errorf("%w: %q is not an id", repository.ErrCorrupt, s)
	}
	return id, nil
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short is how people write an ID.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	got, err := ParseID(string(b))
	*id = got
	return err
}
