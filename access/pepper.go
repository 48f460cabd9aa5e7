package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// pepperBytes is how long a pepper is.
const pepperBytes = 32

// Pepper is the key under which tokens and sessions are hashed. The hashes in a
// stolen database say nothing without it.
type Pepper struct{ key []byte }

// NewPepper makes a random pepper that is kept nowhere.
func NewPepper() Pepper {
	key := make([]byte, pepperBytes)
	_, _ = rand.Read(key) // never fails
	return Pepper{key}
}

// LoadPepper reads the pepper from a file, and makes one if there is none.
// Without its pepper no token is valid any more.
func LoadPepper(path string) (Pepper, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = writeNew(path, []byte(hex.EncodeToString(NewPepper().key)+"\n"))
		if err == nil || errors.Is(err, fs.ErrExist) { // another process was quicker
			b, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return Pepper{}, fmt.Errorf("read pepper: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != pepperBytes {
		return Pepper{}, fmt.Errorf("%s is no pepper: it must be %d hexadecimal digits", path, 2*pepperBytes)
	}
	return Pepper{key}, nil
}

// hash is the keyed hash of a secret of that kind.
func (p Pepper) hash(kind, id string, secret []byte) []byte {
	mac := hmac.New(sha256.New, p.key)
	for _, part := range [][]byte{[]byte(kind), {0}, []byte(id), {0}, secret} {
		_, _ = mac.Write(part) // a hash never fails
	}
	return mac.Sum(nil)
}

// String hides the key.
func (Pepper) String() string   { return redacted }
func (Pepper) GoString() string { return redacted }

// writeNew writes a file for its owner alone, whole and synced, or fails with
// fs.ErrExist if there is one.
func writeNew(path string, b []byte) error {
	tmp := path + ".new-" + rand.Text()
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(tmp)
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(tmp, path)
}
