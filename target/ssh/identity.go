package ssh

import (
	"fmt"
	"os"
	"strings"
)

// identity decides which keys and which agent to log in with.
func (r resolver) identity(h *hop, c Config, inherit *Config) error {
	tokens := h.tokens()
	files, named, err := r.paths(h, "IdentityFile")
	if err != nil {
		return err
	}
	certificates, _, err := r.paths(h, "CertificateFile")
	if err != nil {
		return err
	}
	h.identityFiles, h.certificateFiles = c.IdentityFiles, c.CertificateFiles
	h.privateKeys = c.PrivateKeys
	if len(c.IdentityFiles)+len(c.PrivateKeys) == 0 {
		h.identityFiles = files
	}
	if len(c.CertificateFiles) == 0 {
		h.certificateFiles = certificates
	}
	only, err := r.file.get(h.alias, "IdentitiesOnly")
	if err != nil {
		return err
	}
	h.identitiesOnly = c.IdentitiesOnly || strings.EqualFold(only, "yes")
	agent := c.IdentityAgent
	if inherit != nil {
		h.identityFiles = appendNew(h.identityFiles, inherit.IdentityFiles...)
		h.certificateFiles = appendNew(h.certificateFiles, inherit.CertificateFiles...)
		h.privateKeys = inherit.PrivateKeys
		h.identitiesOnly = h.identitiesOnly || inherit.IdentitiesOnly
		agent = inherit.IdentityAgent
	}
	if len(h.identityFiles)+len(h.privateKeys) == 0 && !named {
		h.identityFiles, h.optionalFiles = usual("id_ed25519", "id_ecdsa", "id_rsa"), true
	}
	h.agentSocket, err = r.agent(h, agent, tokens)
	return err
}

// paths are the values of a key that names files. The key may be there and
// name none: "none".
func (r resolver) paths(h *hop, key string) (paths []string, named bool, err error) {
	values, err := r.file.all(h.alias, key)
	if err != nil {
		return nil, false, err
	}
	var files []string
	for _, v := range values {
		if !strings.EqualFold(v, "none") {
			files = append(files, v)
		}
	}
	paths, err = expandAll(files, h.tokens())
	return paths, len(values) > 0, err
}

// agent is the agent's socket.
func (r resolver) agent(h *hop, explicit string, tokens map[byte]string) (string, error) {
	value := explicit
	if value == "" {
		var err error
		if value, err = r.file.get(h.alias, "IdentityAgent"); err != nil {
			return "", err
		}
		value = unquote(value)
	}
	switch {
	case strings.EqualFold(value, "none"):
		return "", nil
	case value == "", value == "SSH_AUTH_SOCK":
		return os.Getenv("SSH_AUTH_SOCK"), nil
	case explicit != "":
		return explicit, nil
	case value[0] == '$' && !strings.HasPrefix(value, "${"):
		return os.Getenv(value[1:]), nil
	}
	return expand(value, tokens)
}

// trust decides where host keys are looked up, and under which name.
func (r resolver) trust(h *hop, c Config, inherit *Config) error {
	alias := c.HostKeyAlias
	if alias == "" {
		var err error
		if alias, err = r.file.get(h.alias, "HostKeyAlias"); err != nil {
			return err
		}
		alias = unquote(alias)
	}
	h.hostKey, h.keyName = c.HostKey, h.address()
	if alias != "" {
		// As in OpenSSH an alias stands for the address with its port.
		name, port, err := splitHost(alias)
		if err != nil {
			return fmt.Errorf("host key alias: %w", err)
		}
		if port == 0 {
			port = 22
		}
		h.keyName = hop{host: name, port: port}.address()
	}
	configured, err := r.file.get(h.alias, "UserKnownHostsFile")
	if err != nil {
		return err
	}
	h.knownHosts = c.KnownHosts
	if inherit != nil {
		h.knownHosts = inherit.KnownHosts
	}
	if len(h.knownHosts) > 0 && inherit == nil {
		return nil
	}
	if configured == "" {
		h.optionalKnownHosts = append(usual("known_hosts", "known_hosts2"), "/etc/ssh/ssh_known_hosts")
		return nil
	}
	if strings.EqualFold(configured, "none") {
		return nil
	}
	files, err := expandAll(words(configured), h.tokens())
	h.optionalKnownHosts = append(files, "/etc/ssh/ssh_known_hosts")
	return err
}
