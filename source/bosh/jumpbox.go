package bosh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"lockstep"
)

// keepalivePause lies between two signs of life asked of a jumpbox. One that
// gives none for as long is given up.
const keepalivePause = 15 * time.Second

// jumpbox opens connections from a machine in front of the others. It keeps
// one SSH connection, made when it is first needed and again after a loss. All
// methods may be called concurrently.
type jumpbox struct {
	address, user, keyFile string
	pins                   *pins
	log                    func(level, message string)

	mu     sync.Mutex // held while connecting: others wait for the same
	client *ssh.Client
}

// newJumpbox reads ssh+socks5://user@jumpbox:22?private-key=PATH.
func newJumpbox(u *url.URL, env func(string) string, p *pins) (*jumpbox, error) {
	key := u.Query().Get("private-key")
	if key == "" {
		return nil, errors.New("it names no private-key")
	}
	user := "jumpbox"
	if u.User != nil {
		user = cmp.Or(u.User.Username(), user)
	}
	return &jumpbox{
		address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "22")), user: user,
		keyFile: expandHome(key, env), pins: p, log: p.log,
	}, nil
}

// Dial is DialContext without an end.
func (j *jumpbox) Dial(network, address string) (net.Conn, error) {
	return j.DialContext(context.Background(), network, address)
}

// DialContext opens a connection from the jumpbox.
func (j *jumpbox) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*dialTimeout, fmt.Errorf("no answer within %s", 3*dialTimeout))
	defer cancel()
	client, err := j.connected(ctx)
	if err != nil {
		return nil, &lockstep.Error{Op: "jumpbox " + j.address, Err: err}
	}
	conn, err := client.DialContext(ctx, network, address)
	if err != nil {
		return nil, &lockstep.Error{Op: fmt.Sprintf("jumpbox %s: connect to %s", j.address, address), Err: err}
	}
	return conn, nil
}

// connected is the living connection.
func (j *jumpbox) connected(ctx context.Context) (*ssh.Client, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.client != nil {
		return j.client, nil
	}
	client, err := j.connect(ctx)
	if err != nil {
		return nil, err
	}
	j.client = client
	go j.watch(client)
	return client, nil
}

func (j *jumpbox) connect(ctx context.Context) (*ssh.Client, error) {
	pem, err := os.ReadFile(j.keyFile)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read private key " + j.keyFile, Err: err,
			Hint: "private-key in BOSH_ALL_PROXY must name a private key without a passphrase",
		}
	}
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", j.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	conn, channels, requests, err := ssh.NewClientConn(raw, j.address, &ssh.ClientConfig{
		User:              j.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: algorithms(j.pins.known(j.address)),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			return j.pins.check(j.address, key)
		},
		Timeout: dialTimeout,
	})
	if err != nil {
		_ = raw.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("log in as %s: %w", j.user, err)
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// watch asks a connection for signs of life until it ends, and forgets it
// then.
func (j *jumpbox) watch(client *ssh.Client) {
	ended := make(chan struct{})
	go func() {
		_ = client.Wait()
		close(ended)
	}()
	j.keepAlive(client, ended)
	_ = client.Close()
	<-ended
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.client == client {
		j.client = nil
	}
}

// keepAlive returns when the connection has ended, or gives no sign of life.
func (j *jumpbox) keepAlive(client *ssh.Client, ended <-chan struct{}) {
	ticker := time.NewTicker(keepalivePause)
	defer ticker.Stop()
	answered := make(chan error, 1)
	waiting := false
	for {
		select {
		case <-ended:
			return
		case err := <-answered:
			waiting = false
			if err != nil {
				return
			}
		case <-ticker.C:
			if waiting {
				j.log("warn", "jumpbox "+j.address+" gives no sign of life: the connection is given up")
				return
			}
			waiting = true
			go func() {
				_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
				answered <- err
			}()
		}
	}
}

// Close ends the connection and all that go through it. It may be called
// twice; the next dial connects anew.
func (j *jumpbox) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.client == nil {
		return nil
	}
	err := j.client.Close()
	j.client = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
