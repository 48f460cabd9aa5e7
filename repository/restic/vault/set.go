package vault

import (
	"errors"
	"iter"

	"lockstep/repository/restic/format"
)

// Set is a set of blobs that the index of a vault knows: a bit for each that it has. One
// goroutine uses it at a time.
type Set struct {
	vault *Vault
	of    *index
	bits  [2][]uint64 // by kind, by number
}

// Errors of Set.Add, to be matched with errors.Is.
var (
	// ErrUnknown: no index that was read knows the blob.
	ErrUnknown = errors.New("no index knows")
	// ErrReplaced: what was known when the set was made is not what is known now. What is
	// in the set can still be listed.
	ErrReplaced = errors.New("the indexes of the repository were replaced meanwhile")
)

// NewSet is an empty one.
func (v *Vault) NewSet() *Set {
	v.mu.Lock()
	defer v.mu.Unlock()
	return &Set{vault: v, of: v.index}
}

// Add takes in a blob, and reports whether it was not there before.
func (s *Set) Add(h format.Handle) (added bool, err error) {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	if s.of != s.vault.index {
		if len(s.bits[format.Data])+len(s.bits[format.Tree]) > 0 {
			return false, ErrReplaced
		}
		s.of = s.vault.index
	}
	n, ok := s.of.blobs[h.Kind].find(h.ID)
	if !ok {
		return false, ErrUnknown
	}
	bits := &s.bits[h.Kind]
	for uint32(len(*bits)) <= n/64 {
		*bits = append(*bits, 0)
	}
	bit := uint64(1) << (n % 64)
	added = (*bits)[n/64]&bit == 0
	(*bits)[n/64] |= bit
	return added, nil
}

// has reports whether the blob of that kind and number is in it.
func (s *Set) has(kind format.Kind, n uint32) bool {
	bits := s.bits[kind]
	return n/64 < uint32(len(bits)) && bits[n/64]&(1<<(n%64)) != 0
}

// All are the blobs that are in it.
func (s *Set) All() iter.Seq[format.Handle] {
	return func(yield func(format.Handle) bool) {
		for kind := range s.bits {
			for n := range uint32(64 * len(s.bits[kind])) {
				if s.has(format.Kind(kind), n) && !yield(s.handle(format.Kind(kind), n)) {
					return
				}
			}
		}
	}
}

func (s *Set) handle(kind format.Kind, n uint32) format.Handle {
	s.vault.mu.Lock()
	defer s.vault.mu.Unlock()
	return format.Handle{ID: s.of.blobs[kind].at(n).id, Kind: kind}
}
