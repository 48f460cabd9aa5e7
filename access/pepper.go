package access

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/state"
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
//
// The file is the key in hexadecimal digits, and in a second line the beginning of
// its SHA-256, so that a disk that changed it is told from tokens that are wrong.
// A file that somebody made by hand may do without that line.
func LoadPepper(path string) (Pepper, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = writeNew(path, pepperText(NewPepper().key))
		if err == nil || errors.Is(err, fs.ErrExist) { // another process was quicker
			b, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return Pepper{}, fmt.Errorf("read pepper: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	key, err := hex.DecodeString(strings.TrimSpace(first))
	switch {
	case err != nil || len(key) != pepperBytes:
		return Pepper{}, pepperError(fmt.Errorf("%s is not a pepper: the first line must be %d hexadecimal digits", path, 2*pepperBytes))
	case strings.TrimSpace(string(b)) != strings.TrimSpace(first) && !bytes.Equal(b, pepperText(key)):
		return Pepper{}, pepperError(fmt.Errorf("%s was changed: its two lines do not belong together", path))
	}
	return Pepper{key}, nil
}

// pepperSetting is what of the pepper is kept in the state: a hash that only it makes.
const pepperSetting = "access.pepper"

// LoadSharedPepper is LoadPepper for a server whose state others share: all have the
// pepper with which the state was begun, or each would refuse the others' tokens. One
// with another pepper, or with none, is refused; only the first makes one.
func LoadSharedPepper(ctx context.Context, path string, begun state.Settings) (Pepper, error) {
	kept, err := begun.Setting(ctx, pepperSetting)
	if err != nil {
		return Pepper{}, fmt.Errorf("read pepper: %w", err)
	}
	if _, err := os.Stat(path); kept != nil && errors.Is(err, fs.ErrNotExist) {
		return Pepper{}, anotherPepper("%s is not there, and the database was begun with a pepper", path)
	}
	p, err := LoadPepper(path)
	if err != nil {
		return Pepper{}, err
	}
	mine := p.hash("check", "", nil)
	if kept, err = begun.KeepSetting(ctx, pepperSetting, mine, time.Now()); err != nil {
		return Pepper{}, fmt.Errorf("read pepper: %w", err)
	}
	if !hmac.Equal(kept, mine) {
		return Pepper{}, anotherPepper("%s is another pepper than that with which the database was begun", path)
	}
	return p, nil
}

func anotherPepper(format string, path string) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "read pepper", Err: fmt.Errorf(format, path),
		Hint: "copy the file from another server of this database, or name it with access.pepper_file. If all of them have lost it, all tokens are lost, too: " +
			"DELETE FROM state_settings WHERE name = '" + pepperSetting + "' lets a new one begin",
	}
}

// pepperText is what stands in the file of a pepper.
func pepperText(key []byte) []byte {
	sum := sha256.Sum256(key)
	return fmt.Appendf(nil, "%x\nsha256:%x\n", key, sum[:8])
}

func pepperError(err error) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "read pepper", Err: err,
		Hint: "put back the copy that you keep of it; or remove the file to have a new one made, and then make new tokens with `lockstep tokens create`: all old ones end",
	}
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
