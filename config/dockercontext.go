package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// defaultEngine is where the docker command looks when nothing is said.
const defaultEngine = "unix:///var/run/docker.sock"

// dockerContext fills in the engine that the docker command would use: that of
// the context if one is named; else that of DOCKER_HOST, DOCKER_CONTEXT, and of
// the context that `docker context use` made the current one.
func (d *decoder) dockerContext(out *Docker, named text, at position) {
	dir := d.env("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(d.env("HOME"), ".docker")
	}
	name := named.value
	if name == "" {
		if host := d.env("DOCKER_HOST"); host != "" {
			d.dockerHost(out, host)
			return
		}
		if name = d.env("DOCKER_CONTEXT"); name == "" {
			name = currentContext(dir)
		}
	}
	if name == "" || name == "default" {
		out.Host = defaultEngine
		return
	}
	if err := readContext(out, dir, name); err != nil {
		d.problem(named.atOr(at), "context %q of the docker command cannot be used: %v; see docker context ls, or write host in its place", name, err)
	}
}

// dockerHost is the engine of DOCKER_HOST, with the certificates that go with it.
func (d *decoder) dockerHost(out *Docker, host string) {
	out.Host = host
	certs := d.env("DOCKER_CERT_PATH")
	if certs != "" && out.CAFile == "" && strings.HasPrefix(host, "tcp://") {
		certs = d.absolute(certs)
		out.CAFile, out.CertFile, out.KeyFile = filepath.Join(certs, "ca.pem"), filepath.Join(certs, "cert.pem"), filepath.Join(certs, "key.pem")
	}
}

// currentContext is what `docker context use` left, or "".
func currentContext(dir string) string {
	var file struct {
		CurrentContext string `json:"currentContext"`
	}
	data, err := readFile(filepath.Join(dir, "config.json"))
	if err != nil || json.Unmarshal(data, &file) != nil {
		return "" // the docker command takes its default then too
	}
	return file.CurrentContext
}

// readContext reads what `docker context create` wrote: the endpoint, and the
// files of its certificates, below folders that the digest of the name names.
func readContext(out *Docker, dir, name string) error {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	data, err := readFile(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no such context in " + dir)
	}
	if err != nil {
		return err
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return err
	}
	endpoint := meta.Endpoints["docker"]
	switch {
	case endpoint.Host == "":
		return errors.New("it has no Docker endpoint")
	case endpoint.SkipTLSVerify:
		return errors.New("it does not verify the engine's certificate")
	}
	out.Host = endpoint.Host
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	for file, to := range map[string]*string{"ca.pem": &out.CAFile, "cert.pem": &out.CertFile, "key.pem": &out.KeyFile} {
		if _, err := os.Stat(filepath.Join(certs, file)); err == nil && *to == "" {
			*to = filepath.Join(certs, file)
		}
	}
	return nil
}
