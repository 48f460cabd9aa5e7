package director

import (
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	mock "lockstep/internal/mockdirector"
	"lockstep/internal/sockstest"
	"lockstep/internal/sshtest"
)

// jumpbox starts one, whose key lies in the site's folder as "jumpbox.key".
func (s *site) jumpbox() *sshtest.Server {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("jumpbox.key", string(pem.EncodeToMemory(block)))
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	server, err := sshtest.Start(sshtest.Config{User: "ops", AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}, Forward: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = server.Close() })
	return server
}

// runs backs up with each program, which must work.
func (s *site) runs(program string) *process {
	s.t.Helper()
	if program == "lockstep" {
		s.configure()
		return s.lockstep("backup", "prod")
	}
	return s.bbr("backup")
}

func (s *site) mustBackUp(program string) {
	s.t.Helper()
	if p := s.runs(program); p.wait() != 0 {
		s.t.Fatalf("%s: exit code %d\n%s\n%s", program, p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String())
	}
}

func TestBothProgramsThroughASOCKS5Proxy(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"lockstep", "bbr"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			in := s.database("uuid-0", 0, "zero")
			s.director.Deploy("cf", manifest, in)
			proxy := sockstest.New(t)
			s.env = []string{"BOSH_ALL_PROXY=socks5://" + proxy.Addr()}
			s.mustBackUp(program)
			spotless(t, in)
			asked := proxy.Asked()
			if !slices.Contains(asked, strings.TrimPrefix(s.director.URL(), "https://")) || !slices.Contains(asked, in.Address()) {
				t.Errorf("the proxy was asked for %q", asked)
			}
			if n := in.Server.Accepted(); n != 1 {
				t.Errorf("%d connections to the instance", n)
			}

			s.env = append(s.env, "NO_PROXY=127.0.0.0/8")
			s.mustBackUp(program)
			if more := proxy.Asked()[len(asked):]; len(more) > 0 {
				t.Errorf("with NO_PROXY the proxy was asked for %q", more)
			}
		})
	}
}

func TestBothProgramsThroughAJumpboxOverOneConnection(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"lockstep", "bbr"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			first, second := s.database("uuid-0", 0, "zero"), s.database("uuid-1", 1, "one")
			s.director.Deploy("cf", manifest, first, second)
			jumpbox := s.jumpbox()
			s.env = []string{"BOSH_ALL_PROXY=ssh+socks5://ops@" + jumpbox.Addr() + "?private-key=" + filepath.Join(s.dir, "jumpbox.key")}
			s.mustBackUp(program)
			spotless(t, first, second)
			if n := jumpbox.Accepted(); n != 1 {
				t.Errorf("%d connections to the jumpbox", n)
			}
			for _, in := range []*mock.Instance{first, second} {
				if n := in.Server.Accepted(); n != 1 {
					t.Errorf("%d connections to %s", n, in.ID)
				}
			}
		})
	}
}

func TestAllDeploymentsShareOneConnectionToTheJumpbox(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"cf", "blog", "wiki"} {
		s.director.Deploy(name, manifest, s.database(name+"-0", 0, name))
	}
	jumpbox := s.jumpbox()
	s.env = []string{"BOSH_ALL_PROXY=ssh+socks5://ops@" + jumpbox.Addr() + "?private-key=jumpbox.key"}
	s.write("ca.pem", s.director.CACert())
	p := s.start("bbr", "deployment", "--target", s.director.URL(), "--username", mock.Username, "--password", secret,
		"--ca-cert", "ca.pem", "--all-deployments", "backup")
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, p.stdout.String(), p.stderr.String())
	}
	if n := jumpbox.Accepted(); n != 1 {
		t.Errorf("%d connections to the jumpbox", n)
	}
}

func TestTheConfigurationNamesAJumpboxAndItsKeyBesideTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := s.database("uuid-0", 0, "zero")
	s.director.Deploy("cf", manifest, in)
	jumpbox := s.jumpbox()
	s.bosh = "      all_proxy: ssh+socks5://ops@" + jumpbox.Addr() + "?private-key=jumpbox.key"
	s.mustBackUp("lockstep")
	if jumpbox.Accepted() != 1 {
		t.Error("the jumpbox was not used")
	}
	s.must("check", "prod")
	spotless(t, in)
}

func TestWhichHopFailedIsSaid(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := nobody.Addr().String()
	_ = nobody.Close()
	for name, c := range map[string]struct {
		way  func(s *site) string
		want func(s *site, in *mock.Instance) []string
	}{
		"the jumpbox is not there": {
			func(s *site) string { s.jumpbox(); return "ssh+socks5://ops@" + gone + "?private-key=jumpbox.key" },
			func(*site, *mock.Instance) []string { return []string{"jumpbox " + gone, "connection refused"} },
		},
		"the jumpbox knows no such user": {
			func(s *site) string {
				return "ssh+socks5://root@" + s.jumpbox().Addr() + "?private-key=jumpbox.key"
			},
			func(*site, *mock.Instance) []string { return []string{"jumpbox 127.0.0.1:", "log in as root"} },
		},
		"the jumpbox's key is not there": {
			func(s *site) string {
				return "ssh+socks5://ops@" + s.jumpbox().Addr() + "?private-key=" + filepath.Join(s.dir, "nothing")
			},
			func(*site, *mock.Instance) []string { return []string{"jumpbox 127.0.0.1:", "nothing: no such file"} },
		},
		"the instance is behind the jumpbox and down": {
			func(s *site) string { return "ssh+socks5://ops@" + s.jumpbox().Addr() + "?private-key=jumpbox.key" },
			func(_ *site, in *mock.Instance) []string {
				_ = in.Server.Close()
				return []string{"jumpbox 127.0.0.1:", "connect to " + in.Address()}
			},
		},
		"the proxy is not there": {
			func(*site) string { return "socks5://" + gone },
			func(*site, *mock.Instance) []string { return []string{gone, "connection refused"} },
		},
	} {
		for _, program := range []string{"lockstep", "bbr"} {
			t.Run(name+", "+program, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				in := s.database("uuid-0", 0, "zero")
				s.director.Deploy("cf", manifest, in)
				s.env = []string{"BOSH_ALL_PROXY=" + c.way(s)}
				want := c.want(s, in)
				p := s.runs(program)
				if code := p.wait(); code != 1 {
					t.Errorf("exit code %d", code)
				}
				contains(t, p.stderr.String(), want...)
				if len(in.Users()) > 0 {
					t.Errorf("users stay: %q", in.Users())
				}
			})
		}
	}
}

func TestTokensThatExpireInTheMiddleOfARun(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"lockstep", "bbr"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			in := s.database("uuid-0", 0, "zero")
			s.director.Deploy("cf", manifest, in)
			s.director.UAA(&mock.Tokens{Life: 2})
			s.mustBackUp(program)
			spotless(t, in)
			if n := s.director.TokensMade(); n < 4 {
				t.Errorf("%d tokens were made: none expired", n)
			}
			for _, folder := range map[string][]string{"lockstep": {"state"}, "bbr": {"bbr-state"}}[program] {
				s.holdsNoSecret(folder)
			}
		})
	}
}
