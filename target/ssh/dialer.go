package ssh

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
)

// DialerOptions are the choices of a Dialer; the zero value is fine.
type DialerOptions struct {
	// MaxDials bounds the dials and handshakes in flight, over all targets
	// and jump hosts; 0 is 16.
	MaxDials int
}

// Dialer opens targets and owns what they share. All methods may be called
// concurrently. A run has one Dialer. Files are read once in its life, except
// keys and certificates, which are read at each connect.
type Dialer struct {
	slots  chan struct{} // one for each dial in flight
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu         sync.Mutex
	jumps      map[string]*jump
	knownFiles map[string]*knownhosts.HostKeyDB
	configs    map[string]*sshConfig
}

var errClosed = errors.New("target is closed")

// NewDialer makes a Dialer. The caller closes it.
func NewDialer(o DialerOptions) *Dialer {
	setInt(&o.MaxDials, 16)
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Dialer{
		slots: make(chan struct{}, o.MaxDials), ctx: ctx, cancel: cancel,
		jumps:      map[string]*jump{},
		knownFiles: map[string]*knownhosts.HostKeyDB{},
		configs:    map[string]*sshConfig{},
	}
}

// Open makes a target for one instance, without dialing. It fails when the
// configuration is wrong: a host that is none, an unreadable ~/.ssh/config, a
// ProxyCommand. The caller closes the target; closing the Dialer ends it too.
func (d *Dialer) Open(c Config) (*Target, error) {
	c = c.withDefaults()
	file, err := d.sshConfig(c.ConfigFile)
	if err != nil {
		return nil, err
	}
	way, err := resolver{file}.chain(c, nil, 1)
	if err != nil {
		return nil, err
	}
	return newTarget(d, c, way), nil
}

// New makes a target with a Dialer of its own, which is closed with it.
func New(c Config) (*Target, error) {
	d := NewDialer(DialerOptions{})
	t, err := d.Open(c)
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	t.owned = d
	return t, nil
}

// Close closes the connections to jump hosts and ends all targets. It may be
// called twice.
func (d *Dialer) Close() error {
	d.cancel(errClosed)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jumps {
		j.close()
	}
	return nil
}

// slot waits for leave to dial.
func (d *Dialer) slot(ctx context.Context) (release func(), err error) {
	select {
	case d.slots <- struct{}{}:
		return func() { <-d.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// knownHosts reads files once.
func (d *Dialer) knownHosts(files []string) (*knownhosts.HostKeyDB, error) {
	name := strings.Join(files, "\x00")
	d.mu.Lock()
	defer d.mu.Unlock()
	if db := d.knownFiles[name]; db != nil {
		return db, nil
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, err
	}
	d.knownFiles[name] = db
	return db, nil
}

// sshConfig reads a configuration file once.
func (d *Dialer) sshConfig(path string) (*sshConfig, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c, ok := d.configs[path]; ok {
		return c, nil
	}
	c, err := readSSHConfig(path)
	if err != nil {
		return nil, err
	}
	d.configs[path] = c
	return c, nil
}
