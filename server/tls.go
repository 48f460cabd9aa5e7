package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"lockstep"
)

// Certificate names the files that a server shows itself with.
type Certificate struct {
	CertFile, KeyFile string
	// ClientCAFile, if not "", holds the authorities of client certificates.
	// A client may show one, and need not; one that is not good ends the
	// handshake.
	ClientCAFile string
}

// lookEvery is how often the files are looked at for a change, at most.
const lookEvery = 10 * time.Second

// TLS is how connections are encrypted: TLS 1.3, with a certificate that is
// read again when its files change. If they cannot be read then, the one
// before stays, and the log tells.
func TLS(c Certificate, log *slog.Logger) (*tls.Config, error) {
	r := &reloading{files: c, log: log, now: time.Now}
	if err := r.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return r.current(), nil
		},
		// ServeTLS wants one here; the config for the client has it.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &r.current().Certificates[0], nil
		},
	}, nil
}

type reloading struct {
	files Certificate
	log   *slog.Logger
	now   func() time.Time

	mu     sync.Mutex
	config *tls.Config
	stamp  string
	looked time.Time
}

func (r *reloading) current() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now().Sub(r.looked) < lookEvery {
		return r.config
	}
	r.looked = r.now()
	if r.stamped() == r.stamp {
		return r.config
	}
	if err := r.load(); err != nil {
		r.log.Error("read the changed certificate; the one before stays: " + err.Error())
	} else {
		r.log.Info("the certificate of the server was read again")
	}
	return r.config
}

// stamped changes when one of the files does.
func (r *reloading) stamped() string {
	var s string
	for _, path := range []string{r.files.CertFile, r.files.KeyFile, r.files.ClientCAFile} {
		if info, err := os.Stat(path); err == nil {
			s += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
		}
	}
	return s
}

// load reads the files. The stamp is of before, so that a change meanwhile is
// seen the next time.
func (r *reloading) load() error {
	stamp := r.stamped()
	cert, err := tls.LoadX509KeyPair(r.files.CertFile, r.files.KeyFile)
	if err != nil {
		return &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read the certificate of the server", Err: err,
			Hint: "cert_file and key_file of server.tls in the configuration name a certificate and its key, in PEM form",
		}
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{cert}}
	if r.files.ClientCAFile != "" {
		b, err := os.ReadFile(r.files.ClientCAFile)
		if err != nil {
			return fmt.Errorf("read authorities of client certificates: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(b) {
			return fmt.Errorf("read authorities of client certificates: %w", errors.New(r.files.ClientCAFile+" has no certificate in it"))
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	r.config, r.stamp = c, stamp
	return nil
}
