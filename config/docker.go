package config

import (
	"net/url"
	"strings"
)

// Docker says that instances are containers of a Docker engine.
type Docker struct {
	// Host is the engine: unix:///PATH, tcp://HOST:PORT or
	// ssh://[USER@]HOST[:PORT].
	Host string
	// CAFile, CertFile and KeyFile are absolute paths, or "" without TLS.
	CAFile, CertFile, KeyFile string
	// SSH is how the machine of an ssh:// engine is logged in to; else nil.
	SSH *SSH
	// User is the user that commands run as in containers.
	User string
	// SidecarImage is the image of the sidecars that containers without a shell get, or "".
	SidecarImage string
	// At most one of Project and Label is set; without, containers are listed.
	Project  string
	Services []string // of the project, those that count; none is all
	Label    string
}

// Finds reports whether the engine is asked which containers there are.
func (k *Docker) Finds() bool { return k.Project != "" || k.Label != "" }

type fileDocker struct {
	Host     text             `key:"host" example:"\"ssh://ops@10.0.0.5\"" doc:"the engine: unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST. The default is that of the docker command: $DOCKER_HOST, else its context"`
	Context  text             `key:"context" example:"prod" doc:"a context of the docker command, in place of host"`
	CAFile   path             `key:"ca_cert_file" example:"ca.pem" doc:"whom to believe the certificate of a tcp:// engine from"`
	CertFile path             `key:"cert_file" example:"cert.pem" doc:"certificate to log in to a tcp:// engine with"`
	KeyFile  path             `key:"key_file" example:"key.pem" doc:"its key"`
	SSH      section[fileSSH] `key:"ssh" example:"{identity_file: id_ed25519, known_hosts: known_hosts}" doc:"how the machine of an ssh:// engine is logged in to; what is not said here is taken from ~/.ssh/config"`
	User     text             `key:"user" example:"postgres" doc:"user that commands run as in containers. The default is root"`
	Sidecar  text             `key:"sidecar_image" example:"\"debian:12\"" doc:"for containers whose image has no shell: the image of a sidecar that each run makes beside every one of them, and in which scripts run. The engine must have it; nothing is pulled"`
	Project  text             `key:"project" example:"shop" doc:"the containers of this Compose project: a service is a group, a container's number its index"`
	Services list[text]       `key:"services" example:"[db, web]" doc:"of the project, only these services. The default is all, or in a group the one of its name"`
	Label    text             `key:"label" example:"\"backup=shop\"" doc:"the containers with this label: KEY or KEY=VALUE. Their labels lockstep.group and lockstep.index say where they belong"`
}

// build fills in what the environment says where the file does not. group is
// that of which this is the way, or "".
func (f fileDocker) build(d *decoder, at position, group text) *Docker {
	out := &Docker{
		Host: f.Host.value, CAFile: f.CAFile.value, CertFile: f.CertFile.value, KeyFile: f.KeyFile.value,
		User: f.User.or("root"), SidecarImage: f.Sidecar.value, Project: f.Project.value, Label: f.Label.value,
	}
	switch {
	case f.Host.set && f.Context.set:
		d.problem(f.Context.at, "host and context are both given; keep one")
	case !f.Host.set:
		d.dockerContext(out, f.Context, at)
	}
	f.engine(d, out, at)
	f.containers(d, out, group)
	if strings.HasPrefix(out.User, "-") || strings.ContainsAny(out.User, " \t\n") {
		d.problem(f.User.at, "user %q is not a user name; write for example: user: postgres", out.User)
	}
	if f.Sidecar.set && !isImage(f.Sidecar.value) {
		d.problem(f.Sidecar.at, "%q is not the name of an image; write for example: sidecar_image: debian:12", f.Sidecar.value)
	}
	return out
}

// isImage reports whether a text may be the name of an image, which engines check closer.
func isImage(name string) bool {
	return name != "" && !strings.HasPrefix(name, "-") && !strings.ContainsAny(name, " \t\n")
}

// engine checks the address, which the adapter checks closer.
func (f fileDocker) engine(d *decoder, out *Docker, at position) {
	u, err := url.Parse(out.Host)
	known := err == nil && (u.Scheme == "unix" || u.Scheme == "tcp" || u.Scheme == "ssh")
	tls := out.CAFile != "" || out.CertFile != "" || out.KeyFile != ""
	switch {
	case out.Host == "": // told already
	case !known:
		d.problem(f.Host.atOr(at), "%q is not an engine; write for example: host: unix:///var/run/docker.sock, tcp://10.0.0.5:2376 or ssh://ops@10.0.0.5", out.Host)
	case f.SSH.set && u.Scheme != "ssh":
		d.problem(f.SSH.at, "ssh is for an engine with an ssh:// address")
	case tls && u.Scheme != "tcp":
		d.problem(f.CAFile.atOr(at), "certificates are for an engine with a tcp:// address")
	case tls && (out.CAFile == "" || out.CertFile == "" || out.KeyFile == ""):
		d.problem(at, "ca_cert_file, cert_file and key_file go together; write all three")
	case u.Scheme == "ssh":
		if f.SSH.value.Sudo.set {
			d.problem(f.SSH.value.Sudo.at, "the docker command is run without sudo there; let the user use the engine (usermod -aG docker USER)")
		}
		out.SSH = f.SSH.value.build(d)
		out.SSH.Sudo = false
	}
}

// containers checks which containers are meant.
func (f fileDocker) containers(d *decoder, out *Docker, group text) {
	for _, s := range f.Services.value {
		d.name("service", s)
		out.Services = append(out.Services, s.value)
	}
	switch {
	case f.Project.set && f.Label.set:
		d.problem(f.Label.at, "project and label are both given; keep one")
	case f.Services.set && !f.Project.set:
		d.problem(f.Services.at, "services are those of a Compose project; write for example: project: shop")
	case f.Project.set && group.set && len(out.Services) > 1:
		d.problem(f.Services.at, "instance group %q has several services; make a group of each", group.value)
	case f.Project.set && group.set && len(out.Services) == 0:
		out.Services = []string{group.value}
	}
}

func (k *Docker) show() *shown {
	m := mapping().
		add("host", k.Host).
		addSet("ca_cert_file", k.CAFile).
		addSet("cert_file", k.CertFile).
		addSet("key_file", k.KeyFile)
	if k.SSH != nil {
		ssh := k.SSH.show()
		ssh.content = ssh.without("sudo")
		m.add("ssh", ssh)
	}
	return m.
		add("user", k.User).
		addSet("sidecar_image", k.SidecarImage).
		addSet("project", k.Project).
		addSet("services", k.Services).
		addSet("label", k.Label)
}
