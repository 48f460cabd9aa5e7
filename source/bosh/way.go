package bosh

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"

	"lockstep"
)

// dialTimeout bounds connecting to a machine or to a proxy.
const dialTimeout = 10 * time.Second

// way is how machines are reached: directly, or as BOSH_ALL_PROXY says. All
// methods may be called concurrently.
type way struct {
	dialer proxy.ContextDialer
	letGo  func() error // of the jumpbox; nil: there is none
	// through names the proxy; "" is a direct way.
	through string
}

// newWay reads what BOSH_ALL_PROXY says: "socks5://[user:password@]host:port", or
// "ssh+socks5://user@jumpbox:22?private-key=PATH". It dials nothing. Hosts
// that NO_PROXY names are reached directly. Jumpboxes are shared with whoever
// has the same set of them.
func newWay(text string, env func(string) string, p *pins, shared *Jumpboxes) (*way, error) {
	direct := &net.Dialer{Timeout: dialTimeout}
	if text == "" {
		return &way{dialer: direct}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		// The URL may hold a password.
		return nil, badProxy("it is not a URL")
	}
	w := &way{through: u.Host}
	var through proxy.Dialer
	switch u.Scheme {
	case "socks5", "socks5h":
		if u.Port() == "" {
			return nil, badProxy("it names no port")
		}
		through, err = proxy.FromURL(u, direct)
	case "ssh+socks5":
		var j *jumpbox
		if j, err = newJumpbox(u, env, p); err == nil {
			j, w.letGo = shared.share(j)
			through = j
		}
	default:
		err = fmt.Errorf("the scheme %q is not known", u.Scheme)
	}
	if err != nil {
		return nil, badProxy(err.Error())
	}
	perHost := proxy.NewPerHost(through, direct)
	perHost.AddFromString(noProxy(env))
	w.dialer = perHost
	return w, nil
}

func badProxy(why string) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "use the proxy of BOSH_ALL_PROXY", Err: fmt.Errorf("%s", why),
		Hint: "set it as socks5://HOST:PORT or ssh+socks5://USER@JUMPBOX:22?private-key=PATH, or unset it",
	}
}

func noProxy(env func(string) string) string { return cmp.Or(env("no_proxy"), env("NO_PROXY")) }

// dial opens a connection to a machine.
func (w *way) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := w.dialer.DialContext(ctx, network, address)
	if err != nil && w.through != "" && !strings.Contains(err.Error(), w.through) {
		return nil, fmt.Errorf("through %s: %w", w.through, err)
	}
	return conn, err
}

// Close lets go of the jumpbox. It may be called twice.
func (w *way) Close() error {
	if w.letGo == nil {
		return nil
	}
	return w.letGo()
}

// httpsProxy is the proxy for HTTP that HTTPS_PROXY and NO_PROXY name.
func httpsProxy(env func(string) string) func(*http.Request) (*url.URL, error) {
	of := (&httpproxy.Config{
		HTTPSProxy: cmp.Or(env("HTTPS_PROXY"), env("https_proxy")),
		NoProxy:    noProxy(env),
	}).ProxyFunc()
	return func(r *http.Request) (*url.URL, error) { return of(r.URL) }
}
