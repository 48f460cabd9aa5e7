package egress

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

// Poster sends HTTP POST requests to one address.
type Poster struct {
	address *url.URL
	client  *http.Client
}

// NewPoster checks the address: https, or http where that is allowed. roots are
// the authorities of its certificate, nil for the machine's. No error holds
// more of the address than its host.
func NewPoster(address string, g Guard, roots *x509.CertPool, plainHTTP bool) (*Poster, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, errors.New("that is not a web address; write https://HOST/PATH")
	case u.Scheme == "http" && !plainHTTP:
		return nil, errors.New("http tells everybody on the way what it carries; use https")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q is not https", u.Scheme)
	case u.User != nil:
		return nil, errors.New("a name or password in an address is not supported")
	}
	u.Fragment = ""
	return &Poster{address: u, client: g.client(roots)}, nil
}

// Host is where it posts to, without what may be secret in the address.
func (p *Poster) Host() string { return p.address.Scheme + "://" + p.address.Host }

// Refused is the error of an answer that is not a success.
type Refused struct {
	Status int
	// Location is set where the answer is a redirect, which is not followed.
	Location bool
}

// Error says what was answered, and nothing of the answer's text.
func (e *Refused) Error() string {
	if e.Location {
		return fmt.Sprintf("answered %d %s; redirects are not followed", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("answered %d %s", e.Status, http.StatusText(e.Status))
}

// Post sends one request and reads its answer, up to a bound. Any status but
// 2xx is a *Refused. Errors never hold the address.
func (p *Poster) Post(ctx context.Context, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.address.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post to %s: the request cannot be made", p.Host())
	}
	for name, values := range header {
		req.Header[name] = values
	}
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("post to %s: %w", p.Host(), withoutAddress(err))
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxAnswer)
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("post to %s: %w", p.Host(), &Refused{res.StatusCode, res.StatusCode/100 == 3})
	}
	return nil
}

// withoutAddress is the cause of an error of net/http, which writes the whole
// address into its own.
func withoutAddress(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}
