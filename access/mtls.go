package access

import (
	"crypto/x509"
	"net/http"
	"slices"
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

// Certificates recognize client certificates. Whether the certificate is good,
// the TLS stack has decided, against the configured authority; there are no
// revocation lists: let certificates be short-lived.
func Certificates(rules []CertificateRule) Authenticator { return certificates(rules) }

type certificates []CertificateRule

func (rules certificates) Authenticate(r *http.Request) (Principal, error) {
	if len(rules) == 0 || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return Principal{}, ErrNoCredential
	}
	names := namesOf(r.TLS.PeerCertificates[0])
	for _, rule := range rules {
		if rule.Name == "" || !slices.Contains(names, rule.Name) {
			continue
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
