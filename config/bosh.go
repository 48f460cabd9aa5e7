package config

import (
	"net/url"
	"strings"
)

// BOSH says that a director knows the instances, and makes an SSH user on each
// for a run.
type BOSH struct {
	// Director is its address: a URL or a host.
	Director string
	// Deployment is its name there.
	Deployment string
	// Client is the user or UAA client to log in as.
	Client string
	// ClientSecretFile holds the password; absolute. "" is that of the variable
	// BOSH_CLIENT_SECRET.
	ClientSecretFile string
	// CACert is the path of a file, absolute, or PEM text of the variable
	// BOSH_CA_CERT; "" trusts the system's authorities.
	CACert string
}

type fileBOSH struct {
	Director         text `key:"director" example:"https://10.0.0.6:25555" doc:"address of the director. The default is $BOSH_ENVIRONMENT"`
	Deployment       text `key:"deployment" example:"cf" doc:"name of the deployment there. The default is its name here"`
	Client           text `key:"client" example:"admin" doc:"user or UAA client. The default is $BOSH_CLIENT"`
	ClientSecretFile path `key:"client_secret_file" example:"bosh.secret" doc:"file with its password. The default is what $BOSH_CLIENT_SECRET holds"`
	CACertFile       path `key:"ca_cert_file" example:"bosh-ca.pem" doc:"authority of the director's certificate, as PEM. The default is $BOSH_CA_CERT, a path or PEM, else the system's authorities"`
}

// build fills in what the environment says, as bosh and bbr read it.
func (f fileBOSH) build(d *decoder, at position, name string) *BOSH {
	b := &BOSH{
		Director: f.Director.or(d.env("BOSH_ENVIRONMENT")), Deployment: f.Deployment.or(name),
		Client: f.Client.or(d.env("BOSH_CLIENT")), ClientSecretFile: f.ClientSecretFile.value,
		CACert: f.CACertFile.or(d.env("BOSH_CA_CERT")),
	}
	if f.Director.set {
		at = f.Director.at
	}
	switch {
	case b.Director == "":
		d.problem(at, "deployment %q does not say where its director is, and BOSH_ENVIRONMENT is not set; write for example: director: https://10.0.0.6:25555", name)
	case !isDirector(b.Director):
		d.problem(at, "%q is no address of a director; write for example: director: https://10.0.0.6:25555", short(b.Director))
	}
	if b.Client == "" {
		d.problem(at, "deployment %q does not say whom to log in as at its director, and BOSH_CLIENT is not set; write for example: client: admin", name)
	}
	if b.ClientSecretFile == "" && d.env("BOSH_CLIENT_SECRET") == "" {
		d.problem(at, "the password for the director of deployment %q is nowhere: BOSH_CLIENT_SECRET is not set; write for example: client_secret_file: bosh.secret", name)
	}
	d.name("deployment", text{leaf[string]{b.Deployment, at, true}})
	return b
}

// isDirector reports whether s is a host, with or without a port, or the URL
// of one.
func isDirector(s string) bool {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && u.User == nil
}

func (b *BOSH) show() *shown {
	out := mapping().add("director", b.Director).add("deployment", b.Deployment).add("client", b.Client).
		addSet("client_secret_file", b.ClientSecretFile)
	if !strings.Contains(b.CACert, "BEGIN") {
		out.addSet("ca_cert_file", b.CACert)
	}
	return out
}
