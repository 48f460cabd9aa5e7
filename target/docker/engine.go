package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/target"
)

// dialTimeout bounds a connect to an engine.
const dialTimeout = 10 * time.Second

// Config says where an engine is. It holds no secret: the files of keys are named.
type Config struct {
	// Host is unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT].
	Host string `json:"host"`
	// CAFile is whom to believe the engine's certificate from; CertFile and
	// KeyFile are what to log in with. All or none: an engine without TLS is
	// believed on a socket or on this machine's own addresses only.
	CAFile   string `json:"ca_file,omitempty"`
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
}

// Engine is a way to one Docker engine. All methods may be called concurrently.
type Engine struct {
	API  *client.Client
	host string
	rtt  func() time.Duration
}

// Open makes a way to an engine; nothing is dialed. An engine with an ssh://
// address is reached over the target through, by `docker system dial-stdio`
// there; the Engine does not close it. Without such an address it is nil.
func Open(c Config, through target.Target) (*Engine, error) {
	u, err := url.Parse(c.Host)
	if err == nil {
		err = c.check(u)
	}
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("use the Docker engine %q", c.Host), Err: err,
			Hint: "write for example: docker: {host: unix:///var/run/docker.sock}, {host: ssh://ops@10.0.0.5}, or tcp://10.0.0.5:2376 with ca_cert_file, cert_file and key_file",
		}
	}
	e := &Engine{host: c.Host, rtt: func() time.Duration { return 0 }}
	at, dial := c.Host, (&net.Dialer{Timeout: dialTimeout}).DialContext
	switch u.Scheme {
	case "ssh":
		e.rtt = through.RoundTrip
		at = "tcp://docker.invalid:2375" // nobody resolves that
		dial = func(context.Context, string, string) (net.Conn, error) { return dialStdio(through), nil }
	case "unix":
		tcp := dial
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return tcp(ctx, "unix", u.Path) }
	}
	options := []client.Opt{client.WithHost(at), client.WithUserAgent("lockstep"), client.WithHTTPClient(direct(dial))}
	if c.CAFile != "" {
		options = append(options, client.WithTLSClientConfig(c.CAFile, c.CertFile, c.KeyFile))
	}
	if e.API, err = client.New(options...); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "use the Docker engine " + c.Host, Err: err,
			Hint: "look at ca_cert_file, cert_file and key_file",
		}
	}
	return e, nil
}

// direct is a client without the proxy that $HTTP_PROXY and the like name: over SSH
// its credentials would go to the engine, and no engine's streams go through one.
func direct(dial func(context.Context, string, string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, DisableCompression: true, MaxIdleConns: 6, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: client.CheckRedirect,
	}
}

// check refuses addresses that are none, and engines that anybody on the way
// could stand in for.
func (c Config) check(u *url.URL) error {
	tls := c.CAFile != "" || c.CertFile != "" || c.KeyFile != ""
	switch {
	case u.User != nil && u.Scheme != "ssh":
		return errors.New("only an ssh:// address has a user in it")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("an address has no ? or # in it")
	case tls && u.Scheme != "tcp":
		return errors.New("certificates are for tcp:// addresses")
	case tls && (c.CAFile == "" || c.CertFile == "" || c.KeyFile == ""):
		return errors.New("ca_cert_file, cert_file and key_file go together")
	}
	switch u.Scheme {
	case "unix":
		if u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			return errors.New("a socket is written with three slashes: unix:///var/run/docker.sock")
		}
	case "tcp":
		if u.Port() == "" || u.Path != "" {
			return errors.New("it needs a host and a port: tcp://10.0.0.5:2376")
		}
		if ip := net.ParseIP(u.Hostname()); !tls && (ip == nil || !ip.IsLoopback()) {
			return errors.New("whoever reaches an engine is root there, so it is not spoken to over a network without TLS")
		}
	case "ssh":
		if _, password := u.User.Password(); password || u.Hostname() == "" || u.Path != "" {
			return errors.New("it needs a host, and neither a password nor a path: ssh://ops@10.0.0.5")
		}
	default:
		return errors.New("it is none of unix://, tcp:// and ssh://")
	}
	return nil
}

// Host is the engine's address.
func (e *Engine) Host() string { return e.host }

// Close lets go of idle connections. It may be called twice.
func (e *Engine) Close() error { return e.API.Close() }

// Explain says what an error of the engine means, and what to do about it.
func (e *Engine) Explain(op string, err error) error {
	out := &lockstep.Error{Op: op, Err: err}
	switch text := err.Error(); {
	case errors.Is(err, fs.ErrPermission) || strings.Contains(text, "permission denied"):
		out.Kind = lockstep.KindRefused
		out.Hint = fmt.Sprintf("the user of this process must be allowed to use %s: usermod -aG docker USER, then log in again", e.host)
	case client.IsErrConnectionFailed(err) || strings.Contains(text, "annot connect to the Docker daemon"):
		out.Err = target.Unreached(err)
		out.Hint = fmt.Sprintf("is the engine up? try: docker -H %s version", e.host)
	}
	return out
}
