package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// loadSigner reads the key, or makes one.
func loadSigner(dir string) (s signing, made bool, err error) {
	path := filepath.Join(dir, keyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		b, err = makeKey(path)
	}
	if err != nil {
		return s, false, err
	}
	secret := strings.TrimSpace(string(b))
	// Errors are made anew: those of the package may repeat the key.
	if s.Signer, err = note.NewSigner(secret); err != nil {
		return s, false, fmt.Errorf("%s holds no key", path)
	}
	if s.public, err = publicOf(secret); err != nil {
		return s, false, fmt.Errorf("%s holds no key", path)
	}
	return s, made, publish(filepath.Join(dir, pubFile), s.public)
}

// makeKey makes a key. Where two processes do at once, one's counts.
func makeKey(path string) ([]byte, error) {
	secret, _, err := note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return nil, err
	}
	tmp := path + ".new-" + rand.Text()
	defer os.Remove(tmp)
	if err := appendSynced(tmp, []byte(secret+"\n")); err != nil {
		return nil, err
	}
	if err := os.Link(tmp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(path)
}

// publish writes the verifier's key beside the key.
func publish(path, public string) error {
	if b, err := os.ReadFile(path); err == nil && bytes.Equal(b, []byte(public+"\n")) {
		return nil
	}
	return os.WriteFile(path, []byte(public+"\n"), 0o644)
}

// publicOf is the verifier's key of a signer's key.
func publicOf(secret string) (string, error) {
	// PRIVATE+KEY+<name>+<hash>+<base64 of a byte 1 and the seed>
	parts := strings.SplitN(secret, "+", 5)
	b, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 5 || len(b) != 1+ed25519.SeedSize || b[0] != 1 {
		return "", errors.New("it is not a key of an audit log")
	}
	key, _ := ed25519.NewKeyFromSeed(b[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(keyName, key)
}
