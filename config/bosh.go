package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"lockstep/internal/redact"
)

// BOSH says that instances are the machines of a deployment of a BOSH
// director. Secrets are not in here, only where they are found.
type BOSH struct {
	// Director is its URL or host.
	Director string
	// Deployment is its name there.
	Deployment string
	// Client is the user, or the UAA client, to log in as.
	Client string
	// Exactly one of SecretFile and SecretEnv is set: the file, or the
	// environment variable, that the client's secret is read from for each run.
	SecretFile, SecretEnv string
	// CACert is PEM text, CACertFile an absolute path; at most one is set.
	// Without them the machine's own authorities are trusted.
	CACert, CACertFile string
	// Proxy is as BOSH_ALL_PROXY and holds no password; where ProxyEnv is set,
	// that variable is read instead. "" and "" is a direct way.
	Proxy, ProxyEnv string
}

type fileBOSH struct {
	Director         text      `key:"director" example:"https://10.0.0.6:25555" doc:"URL or host of the director. The default is $BOSH_ENVIRONMENT"`
	Deployment       text      `key:"deployment" example:"cf" doc:"name of the deployment there. The default is its name here"`
	Client           text      `key:"client" example:"ops" doc:"user or UAA client to log in as. The default is $BOSH_CLIENT"`
	ClientSecretFile path      `key:"client_secret_file" example:"bosh.secret" doc:"file with the client's secret"`
	ClientSecret     reference `key:"client_secret" example:"${BOSH_CLIENT_SECRET}" doc:"environment variable with the client's secret, in place of a file. The default is ${BOSH_CLIENT_SECRET}"`
	CACertFile       path      `key:"ca_cert_file" example:"bosh-ca.pem" doc:"certificates of the director's authorities. The default is $BOSH_CA_CERT (text or path), else the machine's own"`
	CACert           text      `key:"ca_cert" example:"\"-----BEGIN CERTIFICATE-----\"" doc:"the same as PEM text"`
	AllProxy         reference `key:"all_proxy" example:"\"ssh+socks5://ops@jumpbox:22?private-key=jumpbox.key\"" doc:"how the director and its machines are reached: socks5://HOST:PORT or ssh+socks5://USER@HOST:22?private-key=FILE. The default is $BOSH_ALL_PROXY, else directly"`
}

// reference is a text, or ${NAME} alone: then the variable's name is kept and
// not what it holds, which may be a secret.
type reference struct{ leaf[referred] }

type referred struct{ text, variable string }

func (r *reference) read(d *decoder, n *yaml.Node, c crumb) {
	if n.Kind == yaml.ScalarNode {
		name, ok := strings.CutPrefix(n.Value, "${")
		if name, closed := strings.CutSuffix(name, "}"); ok && closed && isVariable(name) {
			r.put(n, referred{variable: name})
			return
		}
	}
	var t text
	if t.read(d, n, c); t.set {
		r.put(n, referred{text: t.value})
	}
}

func (*reference) schema() schema { return schema{"type": "string"} }

// build fills in what the environment says where the file does not.
func (f fileBOSH) build(d *decoder, at position, name text) *BOSH {
	out := &BOSH{
		Director:   f.Director.or(d.env("BOSH_ENVIRONMENT")),
		Deployment: f.Deployment.or(name.value),
		Client:     f.Client.or(d.env("BOSH_CLIENT")),
	}
	if out.Director == "" {
		d.problem(at, "deployment %q names no director; write for example: bosh: {director: https://10.0.0.6:25555}, or set BOSH_ENVIRONMENT", name.value)
	} else if why := noDirector(out.Director); why != "" {
		d.problem(f.Director.atOr(at), "director %q %s; write for example: director: https://10.0.0.6:25555", redact.Address(out.Director), why)
	}
	if out.Client == "" {
		d.problem(at, "deployment %q does not say who logs in to its director; write for example: client: ops, or set BOSH_CLIENT", name.value)
	}
	d.name("deployment", f.Deployment)
	f.secret(d, out)
	f.authorities(d, out)
	f.proxy(d, out)
	return out
}

// atOr is where the value stands, or another place where it is not in the file.
func (l leaf[T]) atOr(otherwise position) position {
	if l.set {
		return l.at
	}
	return otherwise
}

// noDirector says why a text cannot be a director's address.
func noDirector(s string) string {
	if strings.HasPrefix(s, "http://") {
		return "is not safe: directors speak https"
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Hostname() == "":
			return "is not a URL with a host in it"
		case u.User != nil:
			return "has a name in it, which belongs into client"
		}
		return ""
	}
	if !isHost(s) {
		return "is not a host"
	}
	return ""
}

func (f fileBOSH) secret(d *decoder, out *BOSH) {
	s := f.ClientSecret
	switch {
	case f.ClientSecretFile.set && s.set:
		d.problem(s.at, "client_secret and client_secret_file are both given; keep one")
	case f.ClientSecretFile.set:
		out.SecretFile = f.ClientSecretFile.value
	case s.set && s.value.variable == "":
		d.problem(s.at, "a secret is not written here; write for example: client_secret_file: bosh.secret, or client_secret: ${BOSH_CLIENT_SECRET}")
	case s.set:
		out.SecretEnv = s.value.variable
	default:
		out.SecretEnv = "BOSH_CLIENT_SECRET"
	}
}

func (f fileBOSH) authorities(d *decoder, out *BOSH) {
	switch given := d.env("BOSH_CA_CERT"); {
	case f.CACert.set && f.CACertFile.set:
		d.problem(f.CACert.at, "ca_cert and ca_cert_file are both given; keep one")
	case f.CACertFile.set:
		out.CACertFile = f.CACertFile.value
	case f.CACert.set:
		if out.CACert = f.CACert.value; !strings.Contains(out.CACert, "BEGIN") || strings.Contains(out.CACert, "PRIVATE KEY") {
			d.problem(f.CACert.at, "ca_cert is not the PEM text of certificates; to name a file write for example: ca_cert_file: bosh-ca.pem")
		}
	case strings.Contains(given, "PRIVATE KEY"):
		d.problem(position{1, 1}, "BOSH_CA_CERT holds a private key, where certificates alone belong")
	case strings.Contains(given, "BEGIN"):
		out.CACert = given
	case given != "":
		out.CACertFile = d.absolute(given)
	}
}

// absolute is a path that came out of the environment, where it is relative to
// the folder that the program runs in.
func (d *decoder) absolute(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && d.env("HOME") != "" {
		path = filepath.Join(d.env("HOME"), rest)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func (f fileBOSH) proxy(d *decoder, out *BOSH) {
	switch p := f.AllProxy; {
	case p.set && p.value.variable != "":
		out.ProxyEnv = p.value.variable
	case p.set:
		out.Proxy = d.proxyOf(p)
	case d.env("BOSH_ALL_PROXY") != "":
		out.ProxyEnv = "BOSH_ALL_PROXY"
	}
}

// proxyOf checks a proxy that is written in the file. A key that it names lies
// relative to the file.
func (d *decoder) proxyOf(p reference) string {
	const instead = "write for example: all_proxy: socks5://10.0.0.5:1080, or all_proxy: \"ssh+socks5://ops@jumpbox:22?private-key=jumpbox.key\""
	u, err := url.Parse(p.value.text)
	if err != nil || u.Hostname() == "" || u.Scheme != "socks5" && u.Scheme != "socks5h" && u.Scheme != "ssh+socks5" {
		d.problem(p.at, "all_proxy is not a proxy; %s", instead)
		return ""
	}
	if _, secret := u.User.Password(); secret {
		d.problem(p.at, "a password is not written here; put the whole into a variable and write: all_proxy: ${BOSH_ALL_PROXY}")
		return ""
	}
	if u.Scheme != "ssh+socks5" {
		return p.value.text
	}
	key := u.Query().Get("private-key")
	if key == "" {
		d.problem(p.at, "all_proxy names no private-key; %s", instead)
	}
	if key == "" || filepath.IsAbs(key) || strings.HasPrefix(key, "~/") {
		return p.value.text
	}
	u.RawQuery = "private-key=" + strings.ReplaceAll(url.QueryEscape(filepath.Join(d.dir, key)), "%2F", "/")
	return u.String()
}

func (b *BOSH) show() *shown {
	m := mapping().
		add("director", b.Director).
		add("deployment", b.Deployment).
		add("client", b.Client).
		addSet("client_secret_file", b.SecretFile).
		addSet("client_secret", variable(b.SecretEnv)).
		addSet("ca_cert", b.CACert).
		addSet("ca_cert_file", b.CACertFile).
		addSet("all_proxy", b.Proxy)
	if b.ProxyEnv != "" {
		m.add("all_proxy", variable(b.ProxyEnv))
	}
	return m
}

// variable is the name of an environment variable that is written as ${NAME}.
type variable string
