package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"lockstep"
)

// ErrHostKey is wrapped by every refusal of a host key.
var ErrHostKey = errors.New("host key is not trusted")

// hostKeys knows which keys one hop may show.
type hostKeys struct {
	hop    hop
	direct bool                  // no jump host in between
	db     *knownhosts.HostKeyDB // nil: no file, or pinned
	files  []string
	pinned ssh.PublicKey // nil: look it up
}

// hostKeys reads what is known about a hop. Files are read once per Dialer.
func (d *Dialer) hostKeys(h hop, direct bool) (*hostKeys, error) {
	k := &hostKeys{hop: h, direct: direct}
	if h.hostKey != "" {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.hostKey))
		if err != nil {
			return nil, fmt.Errorf("read the pinned host key of %s: %w", h, err)
		}
		k.pinned = key
		return k, nil
	}
	k.files = slices.Clone(h.knownHosts)
	for _, f := range h.optionalKnownHosts {
		if _, err := os.Stat(f); err == nil {
			k.files = appendNew(k.files, f)
		}
	}
	if len(k.files) == 0 {
		return k, nil
	}
	db, err := d.knownHosts(k.files)
	if err != nil {
		return nil, unreadable(h, err)
	}
	k.db = db
	return k, nil
}

// unreadable is the error of known_hosts files that cannot be used: one that is
// not there is mended in another way than a line that is wrong.
func unreadable(h hop, err error) error {
	hint := "repair or remove that line, or name another file (known_hosts)"
	var path *fs.PathError
	switch {
	case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		hint = fmt.Sprintf("make it: ssh-keyscan -p %d %s >> %s, and compare the fingerprint with the machine's own; or name another file (known_hosts)", h.port, h.host, path.Path)
	case errors.As(err, &path):
		hint = "let this user read the file, or name another one (known_hosts)"
	}
	return &lockstep.Error{Kind: lockstep.KindInvalid, Op: "read known_hosts for " + h.String(), Err: err, Hint: hint}
}

// algorithms puts those first for which a key is known, so that the server
// shows a key that can be checked. The others follow: a server that has none
// of the known kinds is then told apart from one that has changed its key.
func (k *hostKeys) algorithms() []string {
	var known []string
	switch {
	case k.pinned != nil && k.pinned.Type() == ssh.KeyAlgoRSA:
		known = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	case k.pinned != nil:
		known = []string{k.pinned.Type()}
	case k.db != nil:
		known = k.db.HostKeyAlgorithms(k.hop.keyName)
	}
	all := ssh.SupportedAlgorithms().HostKeys // without SHA-1
	var out []string
	for _, a := range known {
		if slices.Contains(all, a) {
			out = appendNew(out, a)
		}
	}
	return appendNew(out, all...)
}

// check refuses a host key that is not known, has changed or was revoked.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	if k.pinned != nil {
		if bytes.Equal(k.pinned.Marshal(), key.Marshal()) {
			return nil
		}
		return k.refuse(fmt.Sprintf("the host key is %s, not %s, which was to be expected", fingerprint(key), fingerprint(k.pinned)),
			"the machine may have been rebuilt, or somebody stands in between: find out before you go on")
	}
	if k.db == nil {
		return k.unknown(key)
	}
	err := k.db.HostKeyCallback()(k.hop.keyName, remote, key)
	var mismatch *xknownhosts.KeyError
	var revoked *xknownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return k.refuse(fmt.Sprintf("the host key %s is marked @revoked in %s", fingerprint(key), where(revoked.Revoked)),
			"do not connect: the key is known to have been stolen or withdrawn")
	case errors.As(err, &mismatch) && len(mismatch.Want) == 0:
		return k.unknown(key)
	case errors.As(err, &mismatch):
		return k.changed(key, mismatch.Want)
	}
	return k.refuse(fmt.Sprintf("the host certificate %s: %v", fingerprint(key), err),
		"give the machine a certificate for "+k.hop.keyName+", signed by an authority (@cert-authority) in "+strings.Join(k.files, ", "))
}

func (k *hostKeys) unknown(key ssh.PublicKey) error {
	file := "~/.ssh/known_hosts"
	if len(k.hop.knownHosts) > 0 {
		file = k.hop.knownHosts[0]
	} else if len(k.hop.optionalKnownHosts) > 0 {
		file = k.hop.optionalKnownHosts[0]
	}
	scan := fmt.Sprintf("ssh-keyscan -p %d %s >> %s", k.hop.port, k.hop.host, file)
	if !k.direct || k.hop.keyName != k.hop.address() {
		scan = fmt.Sprintf("add the line %q to %s", knownhosts.Line([]string{k.hop.keyName}, plain(key)), file)
	}
	return k.refuse("the host key "+fingerprint(key)+" is not known",
		"compare the fingerprint with the machine's own (on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if it is the same: "+scan)
}

func (k *hostKeys) changed(key ssh.PublicKey, want []xknownhosts.KnownKey) error {
	onlyAuthorities := true
	for _, known := range k.db.HostKeys(k.hop.keyName) {
		onlyAuthorities = onlyAuthorities && known.Cert
	}
	if onlyAuthorities {
		return k.refuse(fmt.Sprintf("the server shows the plain key %s and no certificate of the authority in %s", fingerprint(key), where(want[0])),
			"give the machine a host certificate (HostCertificate in sshd_config), or add its key to known_hosts")
	}
	name := knownhosts.Normalize(k.hop.keyName)
	return k.refuse(fmt.Sprintf("the host key has changed: it is %s, and %s has %s", fingerprint(key), where(want[0]), fingerprint(want[0].Key)),
		fmt.Sprintf("somebody may stand in between. If the machine was rebuilt: ssh-keygen -R '%s' -f %s, and add the new key after comparing its fingerprint", name, want[0].Filename))
}

func (k *hostKeys) refuse(why, hint string) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "check the host key of " + k.hop.address(),
		Err: fmt.Errorf("%w: %s", ErrHostKey, why), Hint: hint,
	}
}

// fingerprint is a key as ssh-keygen -l shows it.
func fingerprint(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(plain(key))
}

// plain is the key inside a certificate.
func plain(key ssh.PublicKey) ssh.PublicKey {
	if c, ok := key.(*ssh.Certificate); ok {
		return c.Key
	}
	return key
}

func where(k xknownhosts.KnownKey) string { return fmt.Sprintf("%s:%d", k.Filename, k.Line) }
