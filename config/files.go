package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"lockstep"
)

// CheckFiles says which of the files that the configuration names cannot be read.
// Load does not look: a deployment whose key is missing keeps no other from being
// backed up.
func (c *Config) CheckFiles() error {
	var wrong []string
	check := func(of string, files []namedFile) {
		for _, f := range files {
			if err := f.readable(); err != nil {
				wrong = append(wrong, fmt.Sprintf("%s of %s: %v", f.key, of, err))
			}
		}
	}
	check("the state", c.State.files())
	check("the repository", c.Repository.files())
	check("the fleet", c.Fleet.files())
	for _, d := range c.Deployments {
		of := fmt.Sprintf("deployment %q", d.Name)
		check(of, append(d.Reach.files(), d.BOSH.files()...))
		for _, g := range d.Groups {
			check(fmt.Sprintf("group %q of %s", g.Name, of), g.Reach.files())
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "read the files that " + c.Path + " names", Err: errors.New(strings.Join(wrong, "\n")),
		Hint: "put them there, or name others; paths are relative to the folder of the configuration",
	}
}

// namedFile is a file that a key names.
type namedFile struct{ key, path string }

// named are the files of a key; "" and what says that there is none are left out.
func named(key string, paths ...string) []namedFile {
	var out []namedFile
	for _, p := range paths {
		if p != "" && p != "none" {
			out = append(out, namedFile{key, p})
		}
	}
	return out
}

// files are those that must be there before an instance can be reached.
func (w Reach) files() []namedFile {
	out := w.SSH.files("")
	if k := w.Docker; k != nil {
		out = slices.Concat(out, named("docker.ca_cert_file", k.CAFile), named("docker.cert_file", k.CertFile),
			named("docker.key_file", k.KeyFile), k.SSH.files("docker."))
	}
	if k := w.Kubernetes; k != nil && len(k.Kubeconfig) == 1 { // of several, some need not be there
		out = append(out, named("kubernetes.kubeconfig", k.Kubeconfig...)...)
	}
	return out
}

// files are those of a way over SSH, which may be nil; in is where its keys are.
func (s *SSH) files(in string) []namedFile {
	if s == nil {
		return nil
	}
	return slices.Concat(named(in+identityFile, s.IdentityFiles...), named(in+"ssh.certificate_file", s.CertificateFiles...),
		named(in+"ssh.known_hosts", s.KnownHosts...), named(in+"ssh.config_file", s.ConfigFile))
}

// files are those that a director, which may be nil, is logged in to with.
func (b *BOSH) files() []namedFile {
	if b == nil {
		return nil
	}
	return slices.Concat(named("bosh.client_secret_file", b.SecretFile), named("bosh.ca_cert_file", b.CACertFile))
}

// files are those that the repository is opened with.
func (r Repository) files() []namedFile {
	if r.Restic == nil {
		if r.Encrypt == nil {
			return nil
		}
		return named("encrypt.identity_file", r.Encrypt.IdentityFile)
	}
	out := named("restic.password_file", r.Restic.PasswordFile)
	if s := r.Restic.S3; s != nil {
		out = append(out, named("restic.credentials_file", s.CredentialsFile)...)
	}
	return out
}

// readable reports whether the file can be read. Of an identity whose private half
// is in an agent only the public half need be there.
func (f namedFile) readable() error {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(f.key, identityFile) {
		if public, there := os.Open(f.path + ".pub"); there == nil {
			return public.Close()
		}
	}
	if err != nil {
		return err
	}
	return file.Close()
}

const identityFile = "ssh.identity_file"
