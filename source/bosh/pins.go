package bosh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// pinFile is the file of pins in the state folder: a line "HOST:PORT KEY" for
// each machine.
const pinFile = "bosh-host-keys"

// pins remembers host keys of machines that nobody vouches for, from the
// moment they are first seen. All methods may be called concurrently.
type pins struct {
	path string // "" remembers in this process only
	// accept takes a changed key in place of the remembered one.
	accept bool
	log    func(level, message string)

	mu   sync.Mutex
	keys map[string]ssh.PublicKey // those of this process, by HOST:PORT
}

func newPins(dir string, accept bool, log func(level, message string)) *pins {
	p := &pins{accept: accept, log: log, keys: map[string]ssh.PublicKey{}}
	if dir != "" {
		p.path = filepath.Join(dir, pinFile)
	}
	return p
}

// known is the key that is remembered of a machine, or nil.
func (p *pins) known(name string) ssh.PublicKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	if key := p.keys[name]; key != nil {
		return key
	}
	for _, line := range p.lines() {
		if key := pinned(line, name); key != nil {
			return key
		}
	}
	return nil
}

// lines are the lines of the file; none where it cannot be read.
func (p *pins) lines() []string {
	if p.path == "" {
		return nil
	}
	data, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log("warn", fmt.Sprintf("remembered host keys cannot be read: %v", err))
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// pinned is the key in a line of the file, if it is about that machine.
func pinned(line, name string) ssh.PublicKey {
	host, text, ok := strings.Cut(line, " ")
	if !ok || host != name {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		return nil
	}
	return key
}

// remember puts a key in place of what was known of a machine. Where it cannot
// be written, it is remembered in this process.
func (p *pins) remember(name string, key ssh.PublicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[name] = key
	if p.path == "" {
		return
	}
	var out bytes.Buffer
	for _, line := range p.lines() {
		if host, _, _ := strings.Cut(line, " "); host != name && line != "" {
			fmt.Fprintln(&out, line)
		}
	}
	fmt.Fprintf(&out, "%s %s", name, ssh.MarshalAuthorizedKey(key))
	if err := p.write(out.Bytes()); err != nil {
		p.log("warn", fmt.Sprintf("the host key of %s cannot be remembered: %v", name, err))
	}
}

// write replaces the file, all or nothing.
func (p *pins) write(data []byte) error {
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(p.path), pinFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), p.path)
}

// check accepts the key that is remembered of a machine, and remembers the
// first. Another one is refused, or, where accept is set, taken in its place
// with a warning.
func (p *pins) check(name string, key ssh.PublicKey) error {
	known := p.known(name)
	switch {
	case known == nil:
		p.log("info", fmt.Sprintf("the host key of %s is remembered: %s", name, fingerprint(key)))
	case bytes.Equal(known.Marshal(), key.Marshal()):
		return nil
	case !p.accept:
		return fmt.Errorf("the host key of %s has changed from %s to %s; if the machine was rebuilt, remove its line from %s",
			name, fingerprint(known), fingerprint(key), p.path)
	default:
		p.log("warn", fmt.Sprintf("the host key of %s has changed from %s to %s: if the machine was not rebuilt, somebody may stand in between",
			name, fingerprint(known), fingerprint(key)))
	}
	p.remember(name, key)
	return nil
}

func fingerprint(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

// algorithms puts those first that show a remembered key.
func algorithms(known ssh.PublicKey) []string {
	all := ssh.SupportedAlgorithms().HostKeys
	switch {
	case known == nil:
		return all
	case known.Type() == ssh.KeyAlgoRSA:
		return append([]string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}, all...)
	}
	return append([]string{known.Type()}, all...)
}
