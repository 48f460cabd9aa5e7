package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"lockstep"
	"lockstep/target"
)

// connect dials the last hop of a way, through the shared connections to the
// hops before it, and logs in. No command can have been started when it fails.
func (d *Dialer) connect(ctx context.Context, c Config, way []hop) (*conn, error) {
	last := way[len(way)-1]
	keys, err := d.hostKeys(last, len(way) == 1)
	if err != nil {
		return nil, err
	}
	var through *conn
	if len(way) > 1 {
		// Before the slot is taken: the jump host needs one of its own.
		if through, err = d.jumpTo(ctx, c, way[:len(way)-1]); err != nil {
			return nil, err
		}
	}
	release, err := d.slot(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", last, err)
	}
	defer release()
	raw, err := dial(ctx, c, last, through)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, c, keys, raw)
}

// dial opens the byte stream to a hop.
func dial(ctx context.Context, c Config, h hop, through *conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.DialTimeout,
		fmt.Errorf("no answer within %v", c.DialTimeout))
	defer cancel()
	var raw net.Conn
	var err error
	hint := "is the machine up, and is sshd listening on that port? try: ssh -p " + fmt.Sprint(h.port) + " " + h.user + "@" + h.host
	if through == nil {
		dialer := net.Dialer{KeepAlive: -1} // ours is the one that counts
		raw, err = dialer.DialContext(ctx, "tcp", h.address())
	} else {
		hint = "the jump host " + through.name + " could not reach it: is the machine up, and does the jump host allow TCP forwarding?"
		raw, err = through.client.DialContext(ctx, "tcp", h.address())
	}
	if err == nil {
		return raw, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = target.Unreached(cause)
	} else if nobody(err) {
		err = target.Unreached(err)
	}
	return nil, &lockstep.Error{Op: "connect to " + h.String(), Err: err, Hint: hint}
}

// nobody reports whether a dial that failed says that nobody answers at that
// address. A jump host that forbids the way, or a machine of ours that has no more
// files to open, says nothing about the other end.
func nobody(err error) bool {
	var channel *ssh.OpenChannelError
	var name *net.DNSError
	switch {
	case errors.As(err, &channel):
		return channel.Reason == ssh.ConnectionFailed
	case errors.As(err, &name):
		return name.IsNotFound
	}
	return slices.ContainsFunc([]error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ETIMEDOUT,
	}, func(e error) bool { return errors.Is(err, e) })
}

// handshake checks the host key and logs in. It closes raw when it fails.
func handshake(ctx context.Context, c Config, keys *hostKeys, raw net.Conn) (*conn, error) {
	h := keys.hop
	wire := &wire{Conn: raw}
	credentials, err := h.credentials()
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	defer credentials.close()
	ctx, cancel := context.WithTimeoutCause(ctx, c.HandshakeTimeout,
		fmt.Errorf("no answer to the SSH handshake within %v", c.HandshakeTimeout))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		_ = raw.Close()
		credentials.close() // ends a signature that waits for a person
	})
	asked := false
	client, channels, requests, err := ssh.NewClientConn(wire, h.address(), &ssh.ClientConfig{
		Config:            ssh.Config{KeyExchanges: c.KeyExchanges, Ciphers: c.Ciphers},
		User:              h.user,
		HostKeyCallback:   keys.check,
		HostKeyAlgorithms: keys.algorithms(),
		ClientVersion:     "SSH-2.0-lockstep",
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			asked = true
			return credentials.noting(), nil
		})},
	})
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
		return nil, handshakeError(ctx, credentials, asked, err)
	}
	return newConn(c, h.String(), wire, ssh.NewClient(client, channels, requests)), nil
}

// handshakeError says what failed and what to do about it.
func handshakeError(ctx context.Context, c *credentials, asked bool, err error) error {
	op := "log in as " + c.hop.String()
	if cause := context.Cause(ctx); cause != nil {
		return &lockstep.Error{
			Op: op, Err: target.Unreached(cause),
			Hint: "the port is open and no SSH server answers there in time: is it sshd, is the machine overloaded, does the agent wait for a confirmation?",
		}
	}
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case errors.Is(err, ErrHostKey):
		var refusal *lockstep.Error
		errors.As(err, &refusal)
		return fmt.Errorf("%s: %w", op, refusal)
	case errors.As(err, &negotiation):
		return &lockstep.Error{Op: op, Err: err, Hint: "the server is too old or too strict: allow one of these on it, or set key exchanges and ciphers"}
	case asked && c.accepted != "" && strings.Contains(err.Error(), "unable to authenticate"):
		return &lockstep.Error{
			Op: op, Err: fmt.Errorf("the server accepts the key %s and asks for more, such as a password or a code", c.accepted),
			Hint: "nobody is there to answer: let this user in by a key alone (Match User " + c.hop.user + " with AuthenticationMethods publickey, in sshd_config there), or name another user",
		}
	case asked && strings.Contains(err.Error(), "unable to authenticate"):
		return &lockstep.Error{Op: op, Err: fmt.Errorf("the server accepts none of the keys offered (%s)", c.offered()), Hint: c.advice()}
	}
	return &lockstep.Error{Op: op, Err: err, Hint: "see the log of sshd on the machine (journalctl -u ssh); MaxStartups, if it drops connections at random"}
}

// offered names the keys that were offered.
func (c *credentials) offered() string {
	var names []string
	for _, s := range c.signers {
		names = append(names, fingerprint(s.PublicKey()))
	}
	return strings.Join(names, ", ")
}

func (c *credentials) advice() string {
	hint := "put one of them into authorized_keys of " + c.hop.user + " there, or name another user or key (user, identity_file)"
	if len(c.locked) > 0 {
		hint += "; " + c.locked[0] + " needs a passphrase and was not offered: ssh-add it"
	}
	if len(c.signers) > 5 {
		hint += "; servers commonly hang up after 6 keys: identity_file with identities_only offers only yours"
	}
	return hint
}
