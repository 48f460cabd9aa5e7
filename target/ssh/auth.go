package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"lockstep"
)

// credentials are the keys to offer to one hop, in order.
type credentials struct {
	hop     hop
	signers []ssh.Signer
	// locked are identity files that need a passphrase; only the agent can
	// help with those.
	locked []string
	// files are the public keys of the identity files, by their wire form.
	files map[string]bool
	agent net.Conn // nil: none was asked
	// accepted is the fingerprint of the last key that the server had sign.
	accepted string
}

// credentials reads the keys and asks the agent. The caller closes them when
// the handshake is over.
func (h hop) credentials() (*credentials, error) {
	c := &credentials{hop: h, files: map[string]bool{}}
	for _, pem := range h.privateKeys {
		signer, err := ssh.ParsePrivateKey(pem)
		if err != nil {
			return nil, fmt.Errorf("read the private key for %s: %w", h, err)
		}
		c.add(signer)
	}
	var certificates []*ssh.Certificate
	for _, file := range h.identityFiles {
		if err := c.readKey(file); err != nil {
			return nil, err
		}
		cert, err := readCertificate(file+"-cert.pub", true)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, cert...)
	}
	for _, file := range h.certificateFiles {
		cert, err := readCertificate(file, false)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, cert...)
	}
	agentErr := c.askAgent()
	if err := c.certify(certificates); err != nil {
		c.close()
		return nil, err
	}
	if len(c.signers) == 0 {
		c.close()
		return nil, c.none(agentErr)
	}
	return c, nil
}

// close lets go of the agent. It may be called twice.
func (c *credentials) close() {
	if c.agent != nil {
		_ = c.agent.Close()
	}
}

func (c *credentials) add(s ssh.Signer) {
	c.signers = append(c.signers, s)
	c.files[string(s.PublicKey().Marshal())] = true
}

// readKey reads an identity file. One that needs a passphrase is left to the
// agent, which is told from its public half.
func (c *credentials) readKey(file string) error {
	pem, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && c.hop.optionalFiles {
		return nil
	}
	if err == nil {
		var signer ssh.Signer
		signer, err = ssh.ParsePrivateKey(pem)
		if err == nil {
			c.add(signer)
			return nil
		}
	}
	public := readPublic(file + ".pub")
	if public == nil {
		public = readPublic(file) // IdentityFile may name the public half itself
	}
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		c.locked = append(c.locked, file)
		if locked.PublicKey != nil {
			public = locked.PublicKey
		}
		err = nil
	}
	if public != nil {
		// A file of which only the public half is here names a key of the
		// agent, as in OpenSSH.
		c.files[string(public.Marshal())] = true
		return nil
	}
	if err != nil && !c.hop.optionalFiles {
		return &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read identity file " + file, Err: err,
			Hint: "name a private key in OpenSSH or PEM form (identity_file)",
		}
	}
	return nil
}

func readPublic(file string) ssh.PublicKey {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

func readCertificate(file string, optional bool) ([]*ssh.Certificate, error) {
	data, err := os.ReadFile(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var key ssh.PublicKey
	if err == nil {
		key, _, _, _, err = ssh.ParseAuthorizedKey(data)
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", file, err)
	}
	certificate, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("read certificate %s: it holds a plain public key", file)
	}
	return []*ssh.Certificate{certificate}, nil
}

// askAgent adds the agent's keys: all, or those that the files name.
func (c *credentials) askAgent() error {
	if c.hop.agentSocket == "" {
		return errors.New("no SSH agent is known ($SSH_AUTH_SOCK is not set)")
	}
	conn, err := net.DialTimeout("unix", c.hop.agentSocket, 5*time.Second)
	if err != nil {
		return fmt.Errorf("reach the SSH agent: %w", err)
	}
	c.agent = conn
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	signers, err := agent.NewClient(conn).Signers()
	_ = conn.SetDeadline(time.Time{}) // signing may wait for a person; the handshake's own limit holds
	if err != nil {
		return fmt.Errorf("list the SSH agent's keys: %w", err)
	}
	have := map[string]bool{}
	for _, s := range c.signers {
		have[string(s.PublicKey().Marshal())] = true
	}
	var named, others []ssh.Signer
	for _, s := range signers {
		switch {
		case have[string(s.PublicKey().Marshal())]:
		case c.files[string(plain(s.PublicKey()).Marshal())]:
			named = append(named, s)
		case !c.hop.identitiesOnly:
			others = append(others, s)
		}
	}
	c.signers = append(append(c.signers, named...), others...)
	return nil
}

// certify puts certificates in front, each with the key it is for.
func (c *credentials) certify(certificates []*ssh.Certificate) error {
	var certified []ssh.Signer
	for _, certificate := range certificates {
		for _, s := range c.signers {
			if !bytes.Equal(s.PublicKey().Marshal(), certificate.Key.Marshal()) {
				continue
			}
			signer, err := ssh.NewCertSigner(certificate, s)
			if err != nil {
				return fmt.Errorf("use certificate %q: %w", certificate.KeyId, err)
			}
			certified = append(certified, signer)
			break
		}
	}
	c.signers = append(certified, c.signers...)
	return nil
}

// none says why there is no key to offer.
func (c *credentials) none(agentErr error) error {
	e := &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "log in as " + c.hop.String(),
		Err:  errors.New("there is no private key to log in with"),
		Hint: "name one (identity_file), or load one into the agent: ssh-add FILE",
	}
	if len(c.locked) > 0 {
		e.Err = fmt.Errorf("identity file %s needs a passphrase, and the agent does not hold it", c.locked[0])
		e.Hint = `load it into the agent: eval "$(ssh-agent)"; ssh-add ` + c.locked[0]
	}
	if agentErr != nil {
		e.Err = fmt.Errorf("%w; %w", e.Err, agentErr)
	}
	return e
}
