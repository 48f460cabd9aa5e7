package access

import (
	"crypto/x509"
	"net/http"
	"slices"
	"time"
)

// CertificateRule says who is known by a client certificate of that name.
type CertificateRule struct {
	// Name is a URI, DNS name or email address of the certificate's subject
	// alternative names, or, if it has none of them, its common name.
	Name string
	// Principal is the name it goes by; "" is Name.
	Principal string
	Grants    []Grant
}

// Certificates recognize client certificates; now is the clock, nil is time.Now.
// Whether the certificate is good, the TLS stack has decided, against the
// configured authority; there are no revocation lists: let certificates be
// short-lived.
func Certificates(rules []CertificateRule, now func() time.Time) Authenticator {
	if now == nil {
		now = time.Now
	}
	return certificates{rules, now}
}

type certificates struct {
	rules []CertificateRule
	now   func() time.Time
}

func (c certificates) Authenticate(r *http.Request) (Principal, error) {
	if len(c.rules) == 0 || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return Principal{}, ErrNoCredential
	}
	cert := r.TLS.PeerCertificates[0]
	names := namesOf(cert)
	for _, rule := range c.rules {
		if rule.Name == "" || !slices.Contains(names, rule.Name) {
			continue
		}
		if c.now().After(cert.NotAfter) { // a connection may live longer than it
			return Principal{}, errUnknownCredential()
		}
		name := rule.Principal
		if name == "" {
			name = rule.Name
		}
		return Principal{Name: name, Kind: KindMTLS, Grants: rule.Grants}, nil
	}
	// Somebody may have a certificate only to pass a proxy, and a token beside
	// it.
	return Principal{}, ErrNoCredential
}

func namesOf(cert *x509.Certificate) []string {
	var names []string
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	names = append(append(names, cert.DNSNames...), cert.EmailAddresses...)
	if len(names) == 0 && cert.Subject.CommonName != "" {
		names = []string{cert.Subject.CommonName}
	}
	return names
}
