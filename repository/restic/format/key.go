package format

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/poly1305" //nolint:staticcheck // the format demands it

	"lockstep/repository"
)

const (
	ivSize  = aes.BlockSize
	macSize = poly1305.TagSize
	// TagSize is how many of the sealed bytes, the last, authenticate the others.
	TagSize = macSize
	// Overhead is by how much sealed bytes are longer than plain ones.
	Overhead = ivSize + macSize
)

// errUnauthentic: not what was sealed with this key.
var errUnauthentic = fmt.Errorf("%w: it is not what was sealed with this key", repository.ErrCorrupt)

// Key seals and opens with AES-256-CTR and Poly1305-AES. It may be used
// concurrently.
type Key struct {
	encrypt          [32]byte
	macK, macR       [16]byte
	block, macCipher cipher.Block
}

// keyJSON is how a key is kept inside a key file.
type keyJSON struct {
	MAC struct {
		K []byte `json:"k"`
		R []byte `json:"r"`
	} `json:"mac"`
	Encrypt []byte `json:"encrypt"`
}

// NewKey is a random one.
func NewKey() *Key {
	var b [64]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return keyOf(b[:])
}

// keyOf makes a key of 64 bytes: for encryption, then for authentication.
func keyOf(b []byte) *Key {
	k := &Key{encrypt: [32]byte(b[:32]), macK: [16]byte(b[32:48]), macR: [16]byte(b[48:64])}
	// Bits of r that Poly1305 has as zero.
	for _, i := range []int{3, 7, 11, 15} {
		k.macR[i] &= 15
	}
	for _, i := range []int{4, 8, 12} {
		k.macR[i] &= 252
	}
	k.block, _ = aes.NewCipher(k.encrypt[:]) // fails only for other lengths
	k.macCipher, _ = aes.NewCipher(k.macK[:])
	return k
}

// toJSON is the key as a key file holds it.
func (k *Key) toJSON() keyJSON {
	var j keyJSON
	j.MAC.K, j.MAC.R, j.Encrypt = k.macK[:], k.macR[:], k.encrypt[:]
	return j
}

func (j keyJSON) key() (*Key, error) {
	if len(j.Encrypt) != 32 || len(j.MAC.K) != 16 || len(j.MAC.R) != 16 {
		return nil, fmt.Errorf("%w: a key of another length", repository.ErrCorrupt)
	}
	return keyOf(slices.Concat(j.Encrypt, j.MAC.K, j.MAC.R)), nil
}

// Derive is a secret for another purpose, 32 bytes long, the same whenever it
// is asked for.
func (k *Key) Derive(purpose string) []byte {
	secret, err := hkdf.Key(sha256.New, slices.Concat(k.encrypt[:], k.macK[:], k.macR[:]), nil, "lockstep "+purpose, 32)
	if err != nil {
		panic(err) // fails only for lengths beyond 8160 bytes
	}
	return secret
}

// Pseudonym stands for a name where it must not be read without the key, in
// hex.
func (k *Key) Pseudonym(purpose, name string) string {
	h := hmac.New(sha256.New, k.Derive(purpose))
	h.Write([]byte(name))
	return hex.EncodeToString(h.Sum(nil))
}

// Seal appends the sealed form of plain to dst.
func (k *Key) Seal(dst, plain []byte) []byte {
	n, need := len(dst), len(plain)+Overhead
	dst = slices.Grow(dst, need)[:n+need]
	iv, body := dst[n:n+ivSize], dst[n+ivSize:n+need-macSize]
	_, _ = rand.Read(iv)
	cipher.NewCTR(k.block, iv).XORKeyStream(body, plain)
	tag := k.tag(iv, body)
	copy(dst[n+need-macSize:], tag[:])
	return dst
}

// Open appends to dst what was sealed, or refuses what was not sealed with
// this key.
func (k *Key) Open(dst, sealed []byte) ([]byte, error) {
	body, stream, err := k.authentic(sealed)
	if err != nil {
		return nil, err
	}
	n := len(dst)
	dst = slices.Grow(dst, len(body))[:n+len(body)]
	stream.XORKeyStream(dst[n:], body)
	return dst, nil
}

func (k *Key) tag(iv, body []byte) [macSize]byte {
	var key [32]byte
	copy(key[:16], k.macR[:])
	k.macCipher.Encrypt(key[16:], iv)
	var tag [macSize]byte
	poly1305.Sum(&tag, body, &key)
	return tag
}

// ErrWrongPassword: the key file is not opened by this password.
var ErrWrongPassword = errors.New("wrong password")
