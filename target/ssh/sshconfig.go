package ssh

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"

	"lockstep"
)

// sshConfig is a parsed client configuration file; nil is an empty one.
type sshConfig struct {
	path string
	file *ssh_config.Config
}

// readSSHConfig reads a configuration file; "" is ~/.ssh/config, which may be
// absent, and "none" means no file. The system's file is not read.
func readSSHConfig(path string) (*sshConfig, error) {
	if path == "none" {
		return nil, nil
	}
	optional := path == ""
	if optional {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, nil
		}
		path = filepath.Join(home, ".ssh", "config")
	}
	data, err := os.ReadFile(path)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var file *ssh_config.Config
	if err == nil {
		file, err = ssh_config.DecodeBytes(data)
	}
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read SSH configuration " + path, Err: err,
			Hint: `name a simpler file for Lockstep (config_file of "ssh"), or "none"; "Match exec" and other conditions on this machine are never evaluated`,
		}
	}
	return &sshConfig{path: path, file: file}, nil
}

// get is the first value of a key for a host, or "".
func (c *sshConfig) get(host, key string) (string, error) {
	values, err := c.all(host, key)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

// all are all values of a key for a host.
func (c *sshConfig) all(host, key string) ([]string, error) {
	if c == nil {
		return nil, nil
	}
	values, err := c.file.GetAll(host, key)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s in %s: %w", key, host, c.path, err)
	}
	for i, v := range values {
		values[i] = strings.TrimSpace(v)
	}
	return values, nil
}

// words splits a value into words; double quotes hold one together.
func words(value string) []string {
	var out []string
	for value = strings.TrimSpace(value); value != ""; value = strings.TrimSpace(value) {
		word, rest, _ := strings.Cut(value, " ")
		if value[0] == '"' {
			word, rest, _ = strings.Cut(value[1:], `"`)
		}
		out, value = append(out, word), rest
	}
	return out
}

func unquote(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// tokens are what the percent signs of ssh_config stand for.
func (h hop) tokens() map[byte]string {
	home, _ := os.UserHomeDir()
	local := ""
	if u, err := user.Current(); err == nil {
		local = u.Username
	}
	return map[byte]string{
		'%': "%", 'd': home, 'h': h.host, 'i': strconv.Itoa(os.Getuid()),
		'k': h.keyName, 'n': h.alias, 'p': strconv.Itoa(h.port), 'r': h.user, 'u': local,
	}
}

// expand replaces ~, %x and ${VAR} in a path of ssh_config. Other percent
// signs are refused rather than taken as they are.
func expand(path string, tokens map[byte]string) (string, error) {
	path = unquote(path)
	if path == "~" || strings.HasPrefix(path, "~/") {
		path = strings.ReplaceAll(tokens['d'], "%", "%%") + path[1:]
	}
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '%':
			i++
			if i == len(path) {
				return "", fmt.Errorf("expand %q: it ends in %%", path)
			}
			value, ok := tokens[path[i]]
			if !ok {
				return "", fmt.Errorf("expand %q: %%%c is not supported", path, path[i])
			}
			out.WriteString(value)
		case strings.HasPrefix(path[i:], "${"):
			name, _, ok := strings.Cut(path[i+2:], "}")
			if !ok {
				return "", fmt.Errorf("expand %q: ${ without }", path)
			}
			out.WriteString(os.Getenv(name))
			i += len(name) + 2
		default:
			out.WriteByte(path[i])
		}
	}
	return out.String(), nil
}

func expandAll(paths []string, tokens map[byte]string) ([]string, error) {
	var out []string
	for _, p := range paths {
		e, err := expand(p, tokens)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}
