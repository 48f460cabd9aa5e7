package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/internal/redact"
)

// Config says where the server is and who asks.
type Config struct {
	// URL is the server's, such as "https://backup.example.com" or
	// "http://127.0.0.1:7420". A token is sent in clear to this host only.
	URL string
	// Token is sent with every request; "" is none.
	Token string
	// Lost, if not nil, is told that there was no answer, why, and when the
	// same is asked again. It is called by the goroutine that asks.
	Lost func(err error, again time.Duration)
	// Transport carries the requests; nil is one with sensible deadlines.
	Transport http.RoundTripper
}

// Client implements lockstep.Service. It may be used concurrently.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
	// reached: the server has answered once, so that the address is not wrong
	// that keeps it from answering now.
	reached atomic.Bool
}

var _ lockstep.Service = (*Client)(nil)

// New makes a Client. It asks nothing yet.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	switch {
	case err != nil, base.Host == "", base.Scheme != "http" && base.Scheme != "https", base.RawQuery != "", base.User != nil:
		return nil, &lockstep.Error{
			Kind: lockstep.KindUsage, Op: fmt.Sprintf("reach the server %q", redact.Address(cfg.URL)), Err: errors.New("that is not a URL of a server"),
			Hint: "for example https://backup.example.com or http://127.0.0.1:7420",
		}
	case base.Scheme == "http" && cfg.Token != "" && !Loopback(base):
		return nil, &lockstep.Error{
			Kind: lockstep.KindRefused, Op: "reach the server " + redact.Address(cfg.URL), Err: errors.New("the token would be sent in clear"),
			Hint: "use https",
		}
	}
	if cfg.Transport == nil {
		cfg.Transport = transport()
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: cfg.Transport,
		// Whoever redirects would get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Loopback reports whether a URL is one of this host alone.
func Loopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
	}
}

// Close closes connections that are not in use.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// How long something is asked again that is harmless to ask again, and how
// long one try of it may take.
const (
	patience = time.Minute
	tryLimit = time.Minute
)

// backoff is the pause before the next try; it doubles.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, 250*time.Millisecond), 10*time.Second)
	return b.last
}

// pause says that there was no answer and waits. It reports false when ctx
// ended first.
func (c *Client) pause(ctx context.Context, err error, d time.Duration) bool {
	if c.cfg.Lost != nil {
		c.cfg.Lost(err, d)
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
