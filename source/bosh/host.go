package bosh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/ssh"
)

// HostOptions say how a director's own machine is reached. Host, Username and
// PrivateKeyPath are required.
type HostOptions struct {
	// Host is a host, HOST:PORT or a URL; the port is that of SSH, else 22.
	Host           string
	Username       string
	PrivateKeyPath string
	// StateDir is where the host key is remembered, from when the machine is
	// first seen; "" or a folder that cannot be written remembers it for this
	// process only.
	StateDir string
	// Env and Log are as in DirectorOptions.
	Env func(name string) string
	Log func(level, message string)
	// SSH is as in Options.
	SSH ssh.Config
}

// Host is the source of one instance, bosh/0: the director's own machine,
// reached over SSH. Its host key is pinned when it is first seen; another one
// later is accepted with a warning, because directors are made anew.
type Host struct {
	options HostOptions
	name    string
	address string // HOST:PORT
	way     *way
	pins    *pins
}

var _ source.Source = (*Host)(nil)

// NewHost makes a source. It contacts nothing and does not read the private
// key.
func NewHost(o HostOptions) (*Host, error) {
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Log == nil {
		o.Log = func(string, string) {}
	}
	host, port, err := hostAndPort(o.Host)
	if err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "invalid host", Err: err, Hint: "name the machine as HOST or HOST:PORT"}
	}
	p := newPins(o.StateDir, true, o.Log)
	w, err := newWay(o.Env("BOSH_ALL_PROXY"), o.Env, p, nil)
	if err != nil {
		return nil, err
	}
	address := host
	if port != "" {
		address = net.JoinHostPort(host, port)
	}
	return &Host{options: o, name: host, address: withPort(address), way: w, pins: p}, nil
}

// Info names the deployment: the host without its port. Its key is
// bosh-host:HOST:PORT.
func (h *Host) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{Name: h.name, Source: "bosh", Key: lockstep.DeploymentKey("bosh-host:" + h.address)}
}

// hostReach is what Reach of a Host says.
type hostReach struct {
	Kind           string `json:"kind"` // "bosh-host"
	Host           string `json:"host"`
	Username       string `json:"username"`
	PrivateKeyPath string `json:"private_key_path"`
	StateDir       string `json:"state_dir,omitempty"`
}

// Reach is JSON for FromReach. It holds no secret.
func (h *Host) Reach() string {
	o := h.options
	return encodeReach(hostReach{"bosh-host", o.Host, o.Username, o.PrivateKeyPath, o.StateDir})
}

func hostFromReach(text string, env func(string) string, log func(level, message string)) (*Host, error) {
	var r hostReach
	if err := decodeReach(text, &r); err != nil {
		return nil, err
	}
	return NewHost(HostOptions{
		Host: r.Host, Username: r.Username, PrivateKeyPath: r.PrivateKeyPath, StateDir: r.StateDir, Env: env, Log: log,
	})
}

// Resolve reads the private key and opens the target. It does not dial.
func (h *Host) Resolve(context.Context, source.Tracker) (*source.Resolved, error) {
	key, err := os.ReadFile(expandHome(h.options.PrivateKeyPath, h.options.Env))
	if err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "failed reading private key", Err: err, Hint: "name the file of the private key"}
	}
	if _, err := gossh.ParsePrivateKey(key); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "ssh.NewConnection.ParsePrivateKey failed", Err: err,
			Hint: h.options.PrivateKeyPath + " must be a private key in PEM form without a passphrase",
		}
	}
	config := h.options.SSH
	config.User, config.PrivateKeys = h.options.Username, [][]byte{key}
	opener := newOpener(h.way)
	opened := &pinnedTarget{host: h, opener: opener, config: config}
	info := h.Info()
	return &source.Resolved{
		Name: info.Name, Key: info.Key, Locations: lockstep.DefaultLocations(),
		Instances: []source.Instance{{
			Group: "bosh", ID: "0", Index: "0", Address: h.address, Bootstrap: true, Target: opened, Root: true, Sudo: true,
		}},
		Release: func(context.Context) error {
			return errors.Join(opened.Close(), opener.Close(), h.way.Close())
		},
	}, nil
}

// pinnedTarget is a target to a machine whose host key is pinned when it is
// first seen, and again when it has changed. A key is looked at in a
// connection of its own, which logs nobody in.
type pinnedTarget struct {
	host   *Host
	opener *opener
	config ssh.Config

	mu     sync.Mutex
	target target.Target // nil: not opened yet
	closed bool
}

// Run runs a command.
func (p *pinnedTarget) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	t, err := p.open(ctx, nil)
	if err != nil {
		return target.Exit{}, err
	}
	exit, err := t.Run(ctx, command, streams)
	if err == nil || !errors.Is(err, ssh.ErrHostKey) || !errors.Is(err, target.ErrNotStarted) {
		return exit, err
	}
	if t, err = p.open(ctx, t); err != nil {
		return target.Exit{}, err
	}
	return t.Run(ctx, command, streams)
}

// open opens the target with the pinned key, unless it is open. bad is a
// target whose key is not the machine's any more.
func (p *pinnedTarget) open(ctx context.Context, bad target.Target) (target.Target, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("%w: target is closed", target.ErrNotStarted)
	}
	if p.target != nil && p.target != bad {
		return p.target, nil
	}
	key := p.host.pins.known(p.host.address)
	if key == nil || bad != nil {
		var err error
		if key, err = p.host.look(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", target.ErrNotStarted, err)
		}
	}
	config := p.config
	config.HostKey = strings.TrimSpace(string(gossh.MarshalAuthorizedKey(key)))
	opened, err := p.opener.open(config, p.host.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", target.ErrNotStarted, err)
	}
	if bad != nil {
		_ = bad.Close()
	}
	p.target = opened
	return opened, nil
}

// RoundTrip is that of the open target.
func (p *pinnedTarget) RoundTrip() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.target == nil {
		return 0
	}
	return p.target.RoundTrip()
}

// Close closes the target. It may be called twice.
func (p *pinnedTarget) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.target == nil {
		return nil
	}
	return p.target.Close()
}

// look asks a machine for its host key and pins it.
func (h *Host) look(ctx context.Context) (gossh.PublicKey, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*dialTimeout, fmt.Errorf("no answer within %s", 2*dialTimeout))
	defer cancel()
	op := "look at the host key of " + h.address
	raw, err := h.way.dial(ctx, "tcp", h.address)
	if err != nil {
		return nil, &lockstep.Error{Op: op, Err: err, Hint: "is the machine up, and is sshd listening on that port?"}
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	var seen gossh.PublicKey
	enough := errors.New("the key was seen")
	_, _, _, err = gossh.NewClientConn(raw, h.address, &gossh.ClientConfig{
		User: h.options.Username, HostKeyAlgorithms: algorithms(h.pins.known(h.address)),
		HostKeyCallback: func(_ string, _ net.Addr, key gossh.PublicKey) error {
			seen = key
			return enough
		},
	})
	if seen == nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, &lockstep.Error{Op: op, Err: err, Hint: "is it an SSH server that answers on that port?"}
	}
	return seen, h.pins.check(h.address, seen)
}
