package format

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"time"

	"golang.org/x/crypto/scrypt"

	"lockstep/repository"
)

// KDF is how much work it is to make a key of a password: scrypt's parameters.
type KDF struct{ N, R, P int }

// DefaultKDF takes 32 MiB and about a tenth of a second.
var DefaultKDF = KDF{N: 1 << 15, R: 8, P: 2}

// maxKDFMemory bounds what a key file can make its reader use, in bytes.
const maxKDFMemory = 1 << 30

// KeyFile is one of the keys/ files of a repository: the repository's own key,
// sealed by one that a password gives. Any of them opens the repository.
type KeyFile struct {
	Created  time.Time `json:"created"`
	Username string    `json:"username"`
	Hostname string    `json:"hostname"`
	KDF      string    `json:"kdf"`
	N        int       `json:"N"`
	R        int       `json:"r"`
	P        int       `json:"p"`
	Salt     []byte    `json:"salt"`
	Data     []byte    `json:"data"`
}

// NewKeyFile seals the repository's key with a password.
func NewKeyFile(master *Key, password string, kdf KDF) ([]byte, error) {
	f := KeyFile{Created: time.Now(), KDF: "scrypt", N: kdf.N, R: kdf.R, P: kdf.P, Salt: make([]byte, 64)}
	f.Hostname, f.Username = Whoami()
	_, _ = rand.Read(f.Salt) // never fails since Go 1.24
	own, err := f.derive(password)
	if err != nil {
		return nil, err
	}
	inner, err := json.Marshal(master.toJSON())
	if err != nil {
		return nil, err
	}
	f.Data = own.Seal(nil, inner)
	return json.Marshal(f)
}

// ParseKeyFile reads a key file.
func ParseKeyFile(b []byte) (KeyFile, error) {
	var f KeyFile
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("%w: key file: %w", repository.ErrCorrupt, err)
	}
	if f.KDF != "scrypt" {
		return f, fmt.Errorf("%w: key file: its kdf is %q, not scrypt", repository.ErrCorrupt, f.KDF)
	}
	if f.N < 2 || f.R < 1 || f.P < 1 || f.P > 1<<10 || f.R > maxKDFMemory/128/f.N {
		return f, fmt.Errorf("%w: key file: N=%d, r=%d, p=%d is more than a password needs", repository.ErrCorrupt, f.N, f.R, f.P)
	}
	return f, nil
}

// Unlock is the repository's key, or ErrWrongPassword.
func (f KeyFile) Unlock(password string) (*Key, error) {
	own, err := f.derive(password)
	if err != nil {
		return nil, err
	}
	inner, err := own.Open(nil, f.Data)
	if err != nil {
		return nil, ErrWrongPassword
	}
	var j keyJSON
	if err := json.Unmarshal(inner, &j); err != nil {
		return nil, fmt.Errorf("%w: key file: %w", repository.ErrCorrupt, err)
	}
	return j.key()
}

func (f KeyFile) derive(password string) (*Key, error) {
	b, err := scrypt.Key([]byte(password), f.Salt, f.N, f.R, f.P, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: key file: %w", repository.ErrCorrupt, err)
	}
	return keyOf(b), nil
}

// Whoami is this machine and user, as locks and keys name them.
func Whoami() (host, name string) {
	host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return host, name
}
