package ssh

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lockstep"
)

// hop is one machine on the way, with everything decided that is needed to
// log in there.
type hop struct {
	alias string // as it was written
	host  string
	port  int
	user  string

	identityFiles    []string
	optionalFiles    bool // identityFiles are the usual ones and may be absent
	certificateFiles []string
	privateKeys      [][]byte
	identitiesOnly   bool
	agentSocket      string // "" means no agent

	knownHosts         []string
	optionalKnownHosts []string // read as far as they exist
	hostKey            string
	keyName            string // what to look up in known_hosts, HOST:PORT
}

func (h hop) address() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// String is user@host:port, which is how errors name an instance.
func (h hop) String() string { return h.user + "@" + h.address() }

// id tells hops apart that may not share a connection. It is a digest: a hop
// may hold private keys.
func (h hop) id() string {
	type plain hop // without String
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%+v", plain(h))))
}

// maxHops bounds a chain of jump hosts, so that a loop in ~/.ssh/config ends.
const maxHops = 8

// resolver turns configurations into hops.
type resolver struct {
	file *sshConfig
}

// chain is the way to a machine: its jump hosts, nearest first, then itself.
// A jump host inherits from the configuration of the instance behind it.
func (r resolver) chain(c Config, inherit *Config, depth int) ([]hop, error) {
	if depth > maxHops {
		return nil, fmt.Errorf("ProxyJump to %s: more than %d hops", c.Host, maxHops)
	}
	self, err := r.hop(c, inherit)
	if err != nil {
		return nil, err
	}
	specs, err := r.jumps(c, self)
	if err != nil {
		return nil, err
	}
	if inherit == nil {
		inherit = &c
	}
	var way []hop
	for i, spec := range specs {
		jump, err := parseJump(spec)
		if err != nil {
			return nil, fmt.Errorf("ProxyJump to %s: %w", c.Host, err)
		}
		if i > 0 {
			jump.ProxyJump = "none" // it is reached through the one before
		}
		before, err := r.chain(jump, inherit, depth+1)
		if err != nil {
			return nil, err
		}
		way = append(way, before...)
	}
	return append(way, self), nil
}

// jumps are the words of ProxyJump that hold for a host.
func (r resolver) jumps(c Config, h hop) ([]string, error) {
	value := c.ProxyJump
	if value == "" {
		command, err := r.file.get(h.alias, "ProxyCommand")
		if err != nil {
			return nil, err
		}
		if command != "" && !strings.EqualFold(command, "none") {
			return nil, &lockstep.Error{
				Kind: lockstep.KindRefused, Op: "reach " + h.alias,
				Err:  errors.New(r.file.path + " names a ProxyCommand, and Lockstep runs no commands on this machine"),
				Hint: `use ProxyJump: "ProxyJump user@host:port" there, or proxy_jump in the specification ("none" for a direct way)`,
			}
		}
		if value, err = r.file.get(h.alias, "ProxyJump"); err != nil {
			return nil, err
		}
	}
	if value == "" || strings.EqualFold(value, "none") {
		return nil, nil
	}
	return strings.Split(unquote(value), ","), nil
}

// parseJump reads "[user@]host[:port]" or "ssh://[user@]host[:port]".
func parseJump(spec string) (Config, error) {
	rest := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(spec), "ssh://"), "/")
	var c Config
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		c.User, rest = rest[:at], rest[at+1:]
	}
	c.Host = rest
	_, _, err := splitHost(rest)
	return c, err
}

// splitHost splits "host", "host:port", "[v6]:port" and a bare v6 address;
// port is 0 when there is none.
func splitHost(s string) (host string, port int, err error) {
	host = s
	if h, p, serr := net.SplitHostPort(s); serr == nil {
		host = h
		if port, err = parsePort(p); err != nil {
			return "", 0, fmt.Errorf("host %q: %w", s, err)
		}
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if host == "" || host[0] == '-' || strings.ContainsAny(host, " \t\n\x00/@") {
		return "", 0, fmt.Errorf("%q is not a host name", s)
	}
	return host, port, nil
}

func parsePort(s string) (int, error) {
	port, err := strconv.Atoi(s)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("%q is not a port", s)
	}
	return port, nil
}

// hop decides everything about one machine. A jump host inherits from the
// configuration of the instance behind it.
func (r resolver) hop(c Config, inherit *Config) (hop, error) {
	host, port, err := splitHost(c.Host)
	if err != nil {
		return hop{}, err
	}
	h := hop{alias: host, host: host, port: port, user: c.User}
	if c.Port != 0 {
		h.port = c.Port
	}
	if err := r.name(&h, inherit); err != nil {
		return hop{}, fmt.Errorf("resolve %s: %w", c.Host, err)
	}
	if err := r.identity(&h, c, inherit); err != nil {
		return hop{}, fmt.Errorf("resolve %s: %w", c.Host, err)
	}
	if err := r.trust(&h, c, inherit); err != nil {
		return hop{}, fmt.Errorf("resolve %s: %w", c.Host, err)
	}
	return h, nil
}

// name decides host, port and user.
func (r resolver) name(h *hop, inherit *Config) error {
	get := func(key string) string {
		value, _ := r.file.get(h.alias, key) // an error shows in identity too
		return unquote(value)
	}
	if name := get("HostName"); name != "" {
		expanded, err := expand(name, map[byte]string{'%': "%", 'h': h.alias})
		if err != nil {
			return err
		}
		if h.host, _, err = splitHost(expanded); err != nil {
			return err
		}
	}
	if p := get("Port"); h.port == 0 && p != "" {
		port, err := parsePort(p)
		if err != nil {
			return err
		}
		h.port = port
	}
	if h.port == 0 {
		h.port = 22
	}
	if h.user == "" {
		h.user = get("User")
	}
	if h.user == "" && inherit != nil {
		h.user = inherit.User
	}
	if h.user == "" {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("find the user to log in as: %w", err)
		}
		h.user = u.Username
	}
	return nil
}

// usual are the usual files in ~/.ssh.
func usual(names ...string) []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		out = append(out, filepath.Join(home, ".ssh", n))
	}
	return out
}

func appendNew(list []string, more ...string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}
