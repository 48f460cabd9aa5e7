package sshtest

import (
	"bytes"
	"errors"

	"golang.org/x/crypto/ssh"
)

var errRefused = errors.New("not authorized")

// serverConfig is the login policy, without host keys.
func (s *Server) serverConfig() *ssh.ServerConfig {
	checker := &ssh.CertChecker{
		IsUserAuthority: func(authority ssh.PublicKey) bool {
			return contains(s.config.UserCAs, authority)
		},
		UserKeyFallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !contains(s.config.AuthorizedKeys, key) {
				return nil, errRefused
			}
			return &ssh.Permissions{}, nil
		},
	}
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-lockstep-sshtest",
		PublicKeyCallback: func(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			s.logins.Add(1)
			if s.config.User != "" && meta.User() != s.config.User {
				return nil, errRefused
			}
			return checker.Authenticate(meta, key)
		},
	}
	config.KeyExchanges = s.config.KeyExchanges
	return config
}

func contains(keys []ssh.PublicKey, key ssh.PublicKey) bool {
	for _, k := range keys {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}
