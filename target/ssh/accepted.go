package ssh

import (
	"io"

	"golang.org/x/crypto/ssh"
)

// noting gives the signers so that it is noted which of them the server had
// sign: it only asks that of a key that it accepts.
func (c *credentials) noting() []ssh.Signer {
	var noting []ssh.Signer
	for _, s := range c.signers {
		note := func() { c.accepted = fingerprint(s.PublicKey()) }
		switch s := s.(type) {
		case ssh.MultiAlgorithmSigner:
			noting = append(noting, notedMulti{s, note})
		case ssh.AlgorithmSigner:
			noting = append(noting, notedAlgorithm{s, note})
		default:
			noting = append(noting, notedSigner{s, note})
		}
	}
	return noting
}

type notedSigner struct {
	ssh.Signer
	note func()
}

func (s notedSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s.note()
	return s.Signer.Sign(rand, data)
}

type notedAlgorithm struct {
	ssh.AlgorithmSigner
	note func()
}

func (s notedAlgorithm) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.note()
	return s.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}

type notedMulti struct {
	ssh.MultiAlgorithmSigner
	note func()
}

func (s notedMulti) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.note()
	return s.MultiAlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
}
