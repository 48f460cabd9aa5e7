//go:build dockersuite

package docker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lockstep/internal/dockertest"
	"lockstep/target"
	"lockstep/target/docker"
	"lockstep/target/targettest"
)

// authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// make writes NAME.pem and NAME.key.
func (a *authority) make(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return made, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// serve is the engine over TLS, which asks for a certificate of the authority.
func (a *authority) serve() (host string) {
	a.t.Helper()
	a.make("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	pair, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go carry(c.(*tls.Conn))
		}
	}()
	return "tcp://" + listener.Addr().String()
}

func carry(c *tls.Conn) {
	defer c.Close()
	engine, err := net.Dial("unix", dockertest.Socket)
	if err != nil {
		return
	}
	defer engine.Close()
	go func() {
		_, _ = io.Copy(engine, c)
		_ = engine.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(c, engine)
}

// TestTLS: the conformance suite over TLS, and who cannot prove who they are.
func TestTLS(t *testing.T) {
	t.Parallel()
	container := dockertest.Start(t, "tls")
	ours, others := newAuthority(t), newAuthority(t)
	host := ours.serve()
	client := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	ours.make("client", client)
	others.make("client", client)
	good := docker.Config{Host: host, CAFile: ours.file("ca.pem"), CertFile: ours.file("client.pem"), KeyFile: ours.file("client.key")}
	at := func(t *testing.T, c docker.Config) *docker.Target {
		engine, err := docker.Open(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engine.Close() })
		return engine.Container(container, "0")
	}
	stranger, impostor := good, good
	stranger.CertFile, stranger.KeyFile = others.file("client.pem"), others.file("client.key")
	impostor.CAFile = others.file("ca.pem")
	for name, c := range map[string]docker.Config{"stranger": stranger, "impostor": impostor} {
		if exit, err := at(t, c).Run(t.Context(), "true", target.Streams{}); !errors.Is(err, target.ErrNotStarted) {
			t.Errorf("%s: got %v, %v; want ErrNotStarted", name, exit, err)
		}
	}
	targettest.Run(t, func(t *testing.T) target.Target { return at(t, good) }, "KILL", "TERM", "INT")
}
