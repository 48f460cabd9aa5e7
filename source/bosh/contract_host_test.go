package bosh

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"lockstep/internal/sockstest"
	"lockstep/internal/sshtest"
	"lockstep/source"
	"lockstep/target"
)

// newMachine is a director's machine with the file of a key that it lets in.
func newMachine(t *testing.T) (*sshtest.Server, string) {
	t.Helper()
	server, file := startJumpbox(t) // its user is "jumpbox"
	return server, file
}

func newHost(t *testing.T, o HostOptions) *Host {
	t.Helper()
	if o.Env == nil {
		o.Env = environment()
	}
	h, err := NewHost(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestContract_6_6_DirectorModeIsOneInstance(t *testing.T) {
	t.Parallel()
	server, key := newMachine(t)
	h := newHost(t, HostOptions{Host: server.Addr(), Username: "jumpbox", PrivateKeyPath: key})
	r := mustResolve(t, h, nil)
	in := r.Instances[0]
	if len(r.Instances) != 1 || in.Name() != "bosh/0" || in.Index != "0" || !in.Sudo || r.Overrides.Releases != nil {
		t.Errorf("resolved %+v", r)
	}
	if n := server.Accepted(); n != 0 {
		t.Errorf("resolving took %d connections", n)
	}
	if got := output(t, in, "echo here"); got != "here" {
		t.Errorf("printed %q", got)
	}
	release(t, r)
	release(t, r)
}

func TestContract_1_3_TheNameIsTheHostWithoutSchemeAndPort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"https://my.bosh.com:42": {"my.bosh.com", "my.bosh.com:42"}, "10.5.26.5:53": {"10.5.26.5", "10.5.26.5:53"},
		"10.5.26.5": {"10.5.26.5", "10.5.26.5:22"}, "my.bosh.com": {"my.bosh.com", "my.bosh.com:22"}, "fd00::1": {"fd00::1", "[fd00::1]:22"},
	} {
		h := newHost(t, HostOptions{Host: text})
		info := h.Info()
		if info.Name != want[0] || h.address != want[1] || string(info.Key) != "bosh-host:"+want[1] {
			t.Errorf("%q gives %+v and %s", text, info, h.address)
		}
		again, err := FromReach(h.Reach(), environment(), nil)
		if err != nil || again.Info() != info {
			t.Errorf("%v, %v", again, err)
		}
	}
	if _, err := NewHost(HostOptions{Host: "", Env: environment()}); err == nil {
		t.Error("no host is taken")
	}
}

func TestContract_6_5_PrivateKeysOfTheDirectorsMachine(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("this is not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newHost(t, HostOptions{Host: "h", PrivateKeyPath: bad}).Resolve(t.Context(), nil)
	wantError(t, err, "ssh.NewConnection.ParsePrivateKey failed")
	_, err = newHost(t, HostOptions{Host: "h", PrivateKeyPath: bad + "-absent"}).Resolve(t.Context(), nil)
	wantError(t, err, "failed reading private key", "no such file or directory")
}

func TestContract_7_5_AHostThatCannotBeResolved(t *testing.T) {
	t.Parallel()
	_, key := newMachine(t)
	r := mustResolve(t, newHost(t, HostOptions{Host: "no-such-host.invalid", Username: "u", PrivateKeyPath: key}), nil)
	_, err := r.Instances[0].Target.Run(t.Context(), "true", target.Streams{})
	wantError(t, err, "no-such-host.invalid", target.ErrNotStarted.Error(), "lookup")
}

func TestTheHostKeyIsPinnedAtFirstSightAndAChangeWarns(t *testing.T) {
	t.Parallel()
	server, key := newMachine(t)
	state := t.TempDir()
	run := func() (*logbook, *source.Resolved) {
		var log logbook
		r := mustResolve(t, newHost(t, HostOptions{Host: server.Addr(), Username: "jumpbox", PrivateKeyPath: key, StateDir: state, Log: log.log}), nil)
		output(t, r.Instances[0], "true")
		return &log, r
	}
	log, first := run()
	if !log.has("info: ", "is remembered") || log.has("warn") {
		t.Errorf("first: %q", log.lines)
	}
	before := server.Accepted()
	log, second := run()
	if len(log.lines) > 0 || server.Accepted() != before+1 {
		t.Errorf("second: %q, %d connections", log.lines, server.Accepted()-before)
	}
	release(t, second)
	fresh, err := sshtest.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	server.SetHostKeys(fresh)
	log, _ = run()
	if !log.has("warn: ", "has changed", gossh.FingerprintSHA256(fresh.PublicKey())) {
		t.Errorf("changed: %q", log.lines)
	}
	if log, _ = run(); len(log.lines) > 0 {
		t.Errorf("after the change: %q", log.lines)
	}
	// A run that is under way comes back to the new machine, too.
	server.DropConnections()
	for range 60_000 { // a minute, where nothing hurries
		if _, err := first.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
			return
		}
		_ = pause(t.Context(), 1e6)
	}
	t.Error("it does not come back")
}

func TestAStateFolderThatCannotBeWrittenIsAWarning(t *testing.T) {
	t.Parallel()
	server, key := newMachine(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log logbook
	h := newHost(t, HostOptions{Host: server.Addr(), Username: "jumpbox", PrivateKeyPath: key, StateDir: filepath.Join(file, "state"), Log: log.log})
	output(t, mustResolve(t, h, nil).Instances[0], "true")
	if !log.has("warn: ", "cannot be remembered") {
		t.Errorf("logged %q", log.lines)
	}
}

func TestContract_6_5_SOCKS5ForTheDirectorsMachine(t *testing.T) {
	t.Parallel()
	server, key := newMachine(t)
	proxy := sockstest.New(t)
	h := newHost(t, HostOptions{
		Host: server.Addr(), Username: "jumpbox", PrivateKeyPath: key,
		Env: environment("BOSH_ALL_PROXY", "socks5://"+proxy.Addr()),
	})
	r := mustResolve(t, h, nil)
	output(t, r.Instances[0], "true")
	if !slices.Contains(proxy.Asked(), server.Addr()) {
		t.Errorf("the proxy was asked for %q", proxy.Asked())
	}
	release(t, r)
}

func TestPinsOfOtherMachinesStay(t *testing.T) {
	t.Parallel()
	p := newPins(t.TempDir(), false, func(string, string) {})
	keys := map[string]gossh.PublicKey{}
	for _, name := range []string{"a:22", "b:22", "a:22"} {
		key, err := sshtest.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key.PublicKey()
		p.remember(name, key.PublicKey())
	}
	again := newPins(filepath.Dir(p.path), false, p.log)
	for name, key := range keys {
		if got := again.known(name); got == nil || string(got.Marshal()) != string(key.Marshal()) {
			t.Errorf("%s is %v", name, got)
		}
	}
	if again.known("a") != nil || len(again.lines()) != 2 {
		t.Errorf("the file is %q", again.lines())
	}
}
