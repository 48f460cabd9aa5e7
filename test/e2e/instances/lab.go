package instances

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// gateway is the address of the test program on the bridge.
const gateway = "10.203.0.1"

//go:embed boot.sh
var bootScript []byte

// Lab makes instances. It must be used inside a world, one lab a world; its
// methods may be called concurrently.
type Lab struct {
	// Dir is the lab's folder, on a tmpfs that only the world sees.
	Dir string
	// IdentityFile is the private key that every instance lets in.
	IdentityFile string

	public ssh.PublicKey
	mu     sync.Mutex
	made   int
}

// NewLab makes the lab's folder and client key.
func NewLab() (*Lab, error) {
	if os.Getenv(inWorld) == "" {
		return nil, errors.New("make a lab: not in a world; call Enter first")
	}
	l := &Lab{Dir: filepath.Join(worldDir, "lab")}
	l.IdentityFile = filepath.Join(l.Dir, "id_ed25519")
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return nil, err
	}
	signer, err := newKey(l.IdentityFile)
	if err != nil {
		return nil, err
	}
	l.public = signer.PublicKey()
	return l, os.WriteFile(filepath.Join(l.Dir, "boot.sh"), bootScript, 0o755)
}

// Start makes and boots instances, all at once, and returns them in the order
// of their specs. If one fails, those that came up are destroyed.
func (l *Lab) Start(specs ...Spec) ([]*Instance, error) {
	made := make([]*Instance, len(specs))
	errs := make([]error, len(specs))
	var wg sync.WaitGroup
	for i, s := range specs {
		wg.Go(func() { made[i], errs[i] = l.start(s) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, in := range made {
			if in != nil {
				in.Destroy()
			}
		}
		return nil, err
	}
	return made, nil
}

// Address returns an address that no instance has yet.
func (l *Lab) Address() string {
	n := l.count()
	return fmt.Sprintf("10.203.%d.%d", 1+n/200, 1+n%200)
}

func (l *Lab) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	return l.made
}

func (l *Lab) start(s Spec) (*Instance, error) {
	if s.Addr == "" {
		s.Addr = l.Address()
	}
	n := l.count()
	in := &Instance{Spec: s, lab: l, number: n}
	in.disk = filepath.Join(l.Dir, fmt.Sprintf("%s-%d", s.Name, n))
	if err := in.furnish(); err != nil {
		return nil, fmt.Errorf("make instance %s: %w", s.Name, err)
	}
	if err := in.Boot(); err != nil {
		in.Destroy()
		return nil, err
	}
	return in, nil
}

// KnownHosts writes a known_hosts file with the keys that instances have now.
func (l *Lab) KnownHosts(path string, instances ...*Instance) error {
	var b bytes.Buffer
	for _, in := range instances {
		b.WriteString(in.Addr + " " + string(ssh.MarshalAuthorizedKey(in.hostKey)))
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// newKey writes a new private key and returns its signer.
func newKey(path string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

// ip gives commands to ip(8), all in one process.
func ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %q: %w: %s", commands, err, bytes.TrimSpace(out))
	}
	return nil
}
