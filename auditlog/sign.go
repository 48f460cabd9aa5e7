package auditlog

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"lockstep"
)

// Key signs what this orchestrator vouches for with the key of the audit log's
// heads, and checks what it, or another one that is trusted, signed. It may be
// used concurrently.
type Key struct {
	signer  signing
	trusted note.Verifiers
}

// LoadKey reads the key in the folder of an audit log, and makes one if there is
// none. trusted are the public keys of other orchestrators.
func LoadKey(dir string, trusted []string) (*Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the audit log: %w", err)
	}
	signer, _, err := loadSigner(dir)
	if err != nil {
		return nil, fmt.Errorf("load the key of the audit log: %w", err)
	}
	own, err := signer.verifier()
	if err != nil {
		return nil, err
	}
	all := []note.Verifier{own}
	for _, text := range trusted {
		if text == signer.public {
			continue
		}
		v, err := note.NewVerifier(text)
		if err != nil {
			return nil, fmt.Errorf("trust public key %q: %w", text, err)
		}
		all = append(all, v)
	}
	return &Key{signer: signer, trusted: note.VerifierList(all...)}, nil
}

// CheckPublic refuses what is not a public key.
func CheckPublic(text string) error {
	_, err := note.NewVerifier(text)
	return err
}

// Public is the public key, for those who are to trust it.
func (k *Key) Public() string { return k.signer.public }

// Sign gives the signature lines of a text, which ends in a newline.
func (k *Key) Sign(text string) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text}, k.signer)
	if err != nil {
		return "", fmt.Errorf("sign with the key of the audit log: %w", err)
	}
	return strings.TrimPrefix(string(signed), text+"\n"), nil
}

// maxSignature bounds the signature lines of one text.
const maxSignature = 4 << 10

// Check says what signature lines of that text are worth, and names the key:
// one that is trusted here if there is one.
func (k *Key) Check(text, signature string) (lockstep.SignatureState, string) {
	if len(signature) > maxSignature {
		return lockstep.SignatureBad, ""
	}
	n, err := note.Open([]byte(text+"\n"+signature), k.trusted)
	if err == nil {
		return lockstep.SignatureGood, fmt.Sprintf("%s+%08x", n.Sigs[0].Name, n.Sigs[0].Hash)
	}
	if unverified, ok := err.(*note.UnverifiedNoteError); ok && len(unverified.Note.UnverifiedSigs) > 0 { //nolint:errorlint // the package returns it as it is
		s := unverified.Note.UnverifiedSigs[0]
		return lockstep.SignatureUnknown, fmt.Sprintf("%s+%08x", s.Name, s.Hash)
	}
	return lockstep.SignatureBad, ""
}
