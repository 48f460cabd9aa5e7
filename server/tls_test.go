package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	a := authority{}
	a.cert, a.key = a.issue(t, "an authority", x509.KeyUsageCertSign)
	return a
}

var serial int64

func (a authority) issue(t *testing.T, name string, usage x509.KeyUsage) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), KeyUsage: usage,
		IsCA: a.cert == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func keep(t *testing.T, dir string, cert *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert.Raw}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	ca, clients, dir, clientDir := newAuthority(t), newAuthority(t), t.TempDir(), t.TempDir()
	serverCert, serverKey := ca.issue(t, "the server", x509.KeyUsageDigitalSignature)
	certFile, keyFile := keep(t, dir, serverCert, serverKey)
	clientCA, _ := keep(t, clientDir, clients.cert, clients.key)
	config, err := TLS(Certificate{CertFile: certFile, KeyFile: keyFile, ClientCAFile: clientCA}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{TLSConfig: config, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.VerifiedChains) > 0 {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	})}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = srv.Close() })

	ask := func(cert *tls.Certificate, most uint16) (string, error) {
		pool := x509.NewCertPool()
		pool.AddCert(ca.cert)
		c := &tls.Config{RootCAs: pool, MaxVersion: most}
		if cert != nil {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		}
		resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: c}}).Get("https://" + l.Addr().String())
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	shown := func(a authority, name string) *tls.Certificate {
		cert, key := a.issue(t, name, x509.KeyUsageDigitalSignature)
		return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	}
	if who, err := ask(nil, 0); err != nil || who != "" {
		t.Errorf("without a certificate: %q, %v; want it let in as nobody", who, err)
	}
	if who, err := ask(shown(clients, "ci"), 0); err != nil || who != "ci" {
		t.Errorf("with one: %q, %v", who, err)
	}
	if who, err := ask(shown(ca, "ci"), 0); err == nil {
		t.Errorf("with one of another authority: %q; want the handshake to end", who)
	}
	if _, err := ask(nil, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
}

func TestTLS_IsReadAgain(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	first, key := ca.issue(t, "first", x509.KeyUsageDigitalSignature)
	certFile, keyFile := keep(t, dir, first, key)
	now := time.Now()
	r := &reloading{files: Certificate{CertFile: certFile, KeyFile: keyFile}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	if err := r.load(); err != nil {
		t.Fatal(err)
	}
	is := func(name string) {
		t.Helper()
		now = now.Add(lookEvery)
		c, err := x509.ParseCertificate(r.current().Certificates[0].Certificate[0])
		if err != nil || c.Subject.CommonName != name {
			t.Errorf("it shows %s, want %s; %v", c.Subject.CommonName, name, err)
		}
	}
	is("first")
	if err := os.WriteFile(certFile, []byte("half a certif"), 0o600); err != nil {
		t.Fatal(err)
	}
	is("first")
	keep(t, dir, first, key)
	second, key2 := ca.issue(t, "second, with another length of name", x509.KeyUsageDigitalSignature)
	keep(t, dir, second, key2)
	is("second, with another length of name")
}

func TestTLS_Refuses(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue(t, "x", x509.KeyUsageDigitalSignature)
	certFile, keyFile := keep(t, dir, cert, key)
	for _, c := range []Certificate{
		{CertFile: "none", KeyFile: keyFile}, {CertFile: certFile, KeyFile: certFile},
		{CertFile: certFile, KeyFile: keyFile, ClientCAFile: keyFile}, {CertFile: certFile, KeyFile: keyFile, ClientCAFile: "none"},
	} {
		if _, err := TLS(c, slog.Default()); err == nil {
			t.Errorf("%+v: no error", c)
		}
	}
}
