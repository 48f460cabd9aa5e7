package mockdirector

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lockstep/internal/sshtest"
)

// Instance is a machine of a deployment. Its folder, if it is inside the
// process, is where commands run, and so where relative locations lead; sudo,
// id and userdel are stand-ins there that need no rights.
type Instance struct {
	Group, ID string
	Index     int
	Bootstrap bool
	// IPs are what the list of machines says; nil is the machine's address.
	IPs []string
	// Silent: its agent does not answer the director.
	Silent bool
	// Dir is the working folder of commands.
	Dir string
	// Server is the SSH server.
	Server *sshtest.Server

	users   string  // folder with a file for each user, which holds its key
	machine Machine // nil inside the process
}

// Machine is what an Instance is that lies outside of the process. Its methods
// are called while the director answers.
type Machine interface {
	// Address is where its SSH server listens, HOST:PORT.
	Address() string
	// HostKey is its host key as in authorized_keys.
	HostKey() string
	// AddUser makes a user that logs in with a key, a line of authorized_keys.
	AddUser(name, key string)
	// RemoveUsers removes the users whose names match a pattern.
	RemoveUsers(pattern string)
}

// On makes a machine outside of the process an instance of a deployment.
func On(m Machine, group, id string, index int) *Instance {
	return &Instance{Group: group, ID: id, Index: index, Bootstrap: index == 0, machine: m}
}

// maxUsers bounds the users that an instance has at once.
const maxUsers = 16

// standIns are the programs that need rights on a real machine.
var standIns = map[string]string{
	"sudo": `#!/bin/sh
while :; do case $1 in -n|--) shift;; *) break;; esac; done
exec env "$@"
`,
	"id": `#!/bin/sh
[ $# = 1 ] || exec /usr/bin/id "$@"
test -e "$MOCK_USERS/$1"
`,
	"userdel": `#!/bin/sh
for last; do :; done
rm "$MOCK_USERS/$last"
`,
}

// NewInstance starts a machine. It ends with the test.
func NewInstance(tb testing.TB, group, id string, index int) *Instance {
	tb.Helper()
	in := &Instance{Group: group, ID: id, Index: index, Bootstrap: index == 0, Dir: tb.TempDir(), users: tb.TempDir()}
	bin := tb.TempDir()
	for name, text := range standIns {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	keys := make([]ssh.PublicKey, maxUsers)
	for i := range keys {
		keys[i] = slot{in, i}
	}
	server, err := sshtest.Start(sshtest.Config{
		Dir: in.Dir, AuthorizedKeys: keys, KillStrays: true, Forward: true,
		Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + in.Dir, "MOCK_USERS=" + in.users, "LC_ALL=C"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	in.Server = server
	tb.Cleanup(func() { _ = server.Close() })
	return in
}

// Address is where the machine's SSH server listens, HOST:PORT.
func (in *Instance) Address() string {
	if in.machine != nil {
		return in.machine.Address()
	}
	return in.Server.Addr()
}

func (in *Instance) ips() []string {
	if in.IPs != nil {
		return in.IPs
	}
	return []string{in.Address()}
}

// HostKey is the machine's host key as in authorized_keys.
func (in *Instance) HostKey() string {
	if in.machine != nil {
		return in.machine.HostKey()
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(in.Server.HostKey())))
}

// Users are the users that were made there and not removed.
func (in *Instance) Users() []string {
	entries, _ := os.ReadDir(in.users)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Script puts a script of a job in place, under jobs/JOB/bin/bbr in the
// machine's folder.
func (in *Instance) Script(tb testing.TB, job, script, text string) {
	tb.Helper()
	dir := filepath.Join(in.Dir, "jobs", job, "bin", "bbr")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, script), []byte(text), 0o700); err != nil {
		tb.Fatal(err)
	}
}

func (in *Instance) addUser(name, key string) {
	if in.machine != nil {
		in.machine.AddUser(name, key)
		return
	}
	_ = os.WriteFile(filepath.Join(in.users, name), []byte(key), 0o600)
}

func (in *Instance) removeUsers(pattern string) {
	if in.machine != nil {
		in.machine.RemoveUsers(pattern)
		return
	}
	for _, name := range in.Users() {
		if matched, err := regexp.MatchString(pattern, name); err == nil && matched {
			_ = os.Remove(filepath.Join(in.users, name))
		}
	}
}

// slot is the public key of the n-th user that the machine has at this moment.
type slot struct {
	in *Instance
	n  int
}

// Type is that of no key.
func (s slot) Type() string { return "slot" }

// Marshal is the key's wire form; that of no key where there is no such user.
func (s slot) Marshal() []byte {
	users := s.in.Users()
	if s.n >= len(users) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.in.users, users[s.n]))
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return key.Marshal()
}

// Verify is never asked: the server verifies with the key that was offered.
func (s slot) Verify([]byte, *ssh.Signature) error { return os.ErrInvalid }
