package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Server is how `lockstep serve` listens.
type Server struct {
	// Listen is the address, as HOST:PORT.
	Listen string
	// PublicURL is how browsers reach it, "" if nobody said; without a slash at
	// its end.
	PublicURL string
	// TLS is nil for none, which is for loopback.
	TLS *TLS
	// TrustedProxies are believed when they say where a request came from.
	TrustedProxies []netip.Prefix
	// StopTimeout is how long running runs have after a stop; it is positive.
	StopTimeout time.Duration
}

// Encrypted reports whether browsers reach it over TLS: its own, or that of a
// proxy in front of it.
func (s Server) Encrypted() bool { return s.TLS != nil || strings.HasPrefix(s.PublicURL, "https://") }

// TLS names the files of a server's certificate; absolute.
type TLS struct {
	CertFile, KeyFile string
	// ClientCAFile holds the authorities of client certificates, "" for none.
	ClientCAFile string
}

// The defaults of a server.
const (
	defaultListen      = "127.0.0.1:7420"
	defaultStopTimeout = 5 * time.Minute
)

type fileServer struct {
	Listen      text             `key:"listen" example:"127.0.0.1:7420" doc:"address to listen on; beyond loopback it takes tls. The default is 127.0.0.1:7420"`
	PublicURL   text             `key:"public_url" example:"https://backup.example.com" doc:"how browsers reach the server, for logging in with an identity provider"`
	TLS         section[fileTLS] `key:"tls" example:"{cert_file: cert.pem, key_file: key.pem}" doc:"certificate of the server; read again when the files change"`
	Proxies     list[network]    `key:"trusted_proxies" example:"[\"10.0.0.5\"]" doc:"proxies in front of the server, as addresses or networks; what they say in X-Forwarded-For is believed, and counts where wrong credentials are slowed down and in the audit log. The default is none"`
	StopTimeout span             `key:"stop_timeout" example:"5m" doc:"how long what runs has to be unlocked after a stop. The default is 5m"`
}

type fileTLS struct {
	CertFile     path `key:"cert_file" example:"cert.pem" required:"true" doc:"the certificate, and those that lead to its authority, as PEM"`
	KeyFile      path `key:"key_file" example:"key.pem" required:"true" doc:"its key, as PEM"`
	ClientCAFile path `key:"client_ca_file" example:"clients.pem" doc:"authorities whose client certificates are believed, as PEM; see access.client_certificates"`
}

func (f fileServer) build(d *decoder) Server {
	s := Server{Listen: f.Listen.or(defaultListen), StopTimeout: f.StopTimeout.or(defaultStopTimeout)}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		d.problem(f.Listen.at, "listen %q is not an address; write for example: listen: 127.0.0.1:7420", short(s.Listen))
	}
	if f.PublicURL.set {
		u, err := url.Parse(f.PublicURL.value)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Path != "" && u.Path != "/" {
			d.problem(f.PublicURL.at, "public_url %q is not a URL of a whole host; write for example: public_url: https://backup.example.com", short(f.PublicURL.value))
		} else {
			s.PublicURL = u.Scheme + "://" + u.Host
		}
	}
	if f.TLS.set {
		t := f.TLS.value
		s.TLS = &TLS{CertFile: t.CertFile.value, KeyFile: t.KeyFile.value, ClientCAFile: t.ClientCAFile.value}
	}
	for _, n := range f.Proxies.value {
		if n.set {
			s.TrustedProxies = append(s.TrustedProxies, n.value)
		}
	}
	return s
}

func (s Server) show() *shown {
	out := mapping().add("listen", s.Listen).addSet("public_url", s.PublicURL)
	if s.TLS != nil {
		out.add("tls", mapping().add("cert_file", s.TLS.CertFile).add("key_file", s.TLS.KeyFile).addSet("client_ca_file", s.TLS.ClientCAFile))
	}
	var proxies []string
	for _, p := range s.TrustedProxies {
		proxies = append(proxies, p.String())
	}
	return out.addSet("trusted_proxies", proxies).add("stop_timeout", s.StopTimeout)
}
