package bosh

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"lockstep"
	"lockstep/internal/redact"
)

// defaultPort is where directors listen.
const defaultPort = "25555"

// directorURL reads a director's address: a URL or a host, with or without a
// port. The scheme is always https and the path is ignored.
func directorURL(target string) (string, error) {
	host, port, err := hostAndPort(target)
	if err != nil {
		return "", &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "invalid bosh URL", Err: err,
			Hint: "name the director as https://HOST:25555 or HOST",
		}
	}
	if port == "" {
		port = defaultPort
	}
	return "https://" + net.JoinHostPort(host, port), nil
}

// hostAndPort takes a URL, a host, or a host with its port apart. The port is
// "" where none is given.
func hostAndPort(s string) (host, port string, err error) {
	text := strings.TrimSpace(s)
	if !strings.Contains(text, "://") {
		if ip := net.ParseIP(strings.Trim(text, "[]")); ip != nil {
			return ip.String(), "", nil
		}
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		// Its own error quotes it, with the password that may be in it.
		return "", "", fmt.Errorf("%q is not a URL", redact.Address(s))
	}
	host, port = u.Hostname(), u.Port()
	if host == "" || strings.ContainsAny(host, " \t\n\x00") {
		return "", "", fmt.Errorf("%q names no host", redact.Address(s))
	}
	return host, port, nil
}

// certificates are the authorities to trust, from PEM text (all that contains
// BEGIN) or from the file of that name; nil, those of the system, for "".
func certificates(text string) (*x509.CertPool, error) {
	if text == "" {
		return nil, nil
	}
	if !strings.Contains(text, "BEGIN") {
		data, err := os.ReadFile(expandHome(text, os.Getenv))
		if err != nil {
			return nil, invalidCA(err)
		}
		text = string(data)
	}
	pool, rest, found := x509.NewCertPool(), []byte(text), false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, invalidCA(fmt.Errorf("parse certificate: %w", err))
		}
		pool.AddCert(c)
		found = true
	}
	if !found {
		return nil, invalidCA(errors.New("Missing PEM block"))
	}
	return pool, nil
}

func invalidCA(err error) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "read the director's CA certificate", Err: err,
		Hint: "give the certificate itself as PEM text, or the path of a file with it",
	}
}

// expandHome replaces a leading "~/" with the home folder.
func expandHome(path string, env func(string) string) string {
	rest, ok := strings.CutPrefix(path, "~/")
	if home := env("HOME"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return path
}
