package bbr

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"lockstep/source"
)

// nothing is a Setup in which nothing may be contacted.
func nothing(t *testing.T) Setup {
	return Setup{
		Host: func(HostAccess) (source.Source, error) { t.Error("the host was reached for"); return nil, nil },
		Director: func(context.Context, DirectorAccess) (Director, error) {
			t.Error("the director was asked")
			return nil, nil
		},
	}
}

func TestContract_1_5_Usage(t *testing.T) {
	t.Parallel()
	full := []string{"deployment", "-t", "https://x", "--username=u", "-p", "p"}
	with := func(base []string, more ...string) []string { return append(append([]string{}, base...), more...) }
	director := []string{"director", "--host", "h", "-u", "u", "-key", "k"}
	for _, c := range []struct {
		name   string
		args   []string
		env    []string
		code   int
		out    []string
		stderr string
	}{
		{"no arguments", nil, nil, 0, []string{`USAGE:\n   bbr command \[command options\] \[subcommand\] \[subcommand options\]\nSUBCOMMANDS:\n   backup\n   backup-cleanup\n   restore\n   restore-cleanup\n   pre-backup-check\n`}, ""},
		{"rubbish", []string{"rubbish"}, nil, 0, []string{`^Error command 'rubbish' not found\n\nNAME:`}, ""},
		{"rubbish subcommand", with(director, "rubbish"), nil, 0, []string{`^Error command 'rubbish' not found\n\n`}, ""},
		{"help flag", []string{"--help"}, nil, 1, []string{`^Incorrect Usage\. flag: help requested\n\nNAME:`}, ""},
		{"unknown flag at the top", []string{"-x"}, nil, 1, []string{`^Incorrect Usage\. flag provided but not defined: -x\n\n`}, ""},
		{"help", []string{"h"}, nil, 0, []string{"USAGE"}, ""},
		{"version", []string{"v"}, nil, 0, []string{`^bbr version 2\.0\n$`}, ""},
		{"version flag", []string{"--version"}, nil, 0, []string{`^bbr version 2\.0\n$`}, ""},
		{"nothing given", []string{"deployment"}, nil, 1, []string{`bbr deployment`, `OPTIONS`}, "--target flag is required."},
		{"help of a command", []string{"deployment", "--help"}, nil, 0, []string{
			"--target", "BOSH Director URL", "BOSH_ENVIRONMENT", "--username", "BOSH Director username", "BOSH_CLIENT",
			"--password", "BOSH Director password", "BOSH_CLIENT_SECRET", "--deployment",
			"Name of BOSH deployment. Omit if '--all-deployments' is provided", "BOSH_DEPLOYMENT", "--ca-cert",
			"Path or value of BOSH Director custom CA certificate", "CA_CERT.*BOSH_CA_CERT", "--debug", "Enable debug logs", "--all-deployments",
			"Run command for all deployments. Omit if '--deployment' is provided. Currently only supported for: pre-backup-check, backup and backup-cleanup",
		}, ""},
		{"no username", []string{"deployment", "-t", "x", "backup"}, nil, 1, []string{"bbr deployment"}, "--username flag is required."},
		{"no password", []string{"deployment", "-t", "x", "-u", "x", "backup"}, nil, 1, []string{"bbr deployment"}, "--password flag is required."},
		{"neither", with(full, "backup"), nil, 1, []string{"bbr deployment"}, "provide one of '--deployment' or '--all-deployments' flags."},
		{"both", with(full, "-d", "x", "--all-deployments", "backup"), nil, 1, []string{"bbr deployment"}, "provide one of '--deployment' or '--all-deployments' flags."},
		{"environment", []string{"deployment", "--all-deployments", "backup"},
			[]string{"BOSH_ENVIRONMENT=x", "BOSH_CLIENT=x", "BOSH_CLIENT_SECRET=x", "BOSH_DEPLOYMENT=x"}, 1,
			[]string{"bbr deployment"}, "provide one of '--deployment' or '--all-deployments' flags."},
		{"help without a deployment", []string{"deployment", "backup", "--help"}, nil, 1, []string{"bbr deployment - "}, "provide one of '--deployment' or '--all-deployments' flags."},
		{"help of a subcommand", with(director, "backup", "--help"), nil, 0, []string{"bbr director backup", "--artifact-path value, -a value"}, ""},
		{"help of a subcommand without flags", []string{"director", "backup", "-h"}, nil, 0, []string{"bbr director backup"}, ""},
		{"unknown flag", with(full, "-d", "x", "backup", "--nope"), nil, 1, []string{`^Incorrect Usage\. flag provided but not defined: -nope\n\n`, `bbr deployment backup`}, ""},
		{"flag of the subcommand before it", with(full, "--with-manifest", "backup"), nil, 1, []string{`^Incorrect Usage\. flag provided but not defined: -with-manifest`}, ""},
		{"no host", []string{"director", "backup"}, nil, 1, []string{"bbr director"}, "--host flag is required."},
		{"no key", []string{"director", "--host", "x", "-u", "x", "backup"}, nil, 1, []string{"bbr director"}, "--private-key-path flag is required."},
		{"restore without a path", with(director, "restore"), nil, 1, []string{"bbr director restore"}, "--artifact-path flag is required."},
		{"alias of restore", with(full, "-d", "x", "r"), nil, 1, []string{"bbr deployment restore"}, "--artifact-path flag is required."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, stderr lockedBuffer
			s := &session{t: t, dir: t.TempDir()}
			code := Program{Version: "2.0", Stdout: &out, Stderr: &stderr, Env: c.env, Dir: s.dir, Setup: nothing(t)}.Run(t.Context(), c.args)
			if code != c.code {
				t.Errorf("exit %d, not %d\n%s%s", code, c.code, out.String(), stderr.String())
			}
			inOrder(t, out.String(), c.out...)
			want := ""
			if c.stderr != "" {
				want = "\x1b[0;31m" + c.stderr + "\x1b[0m\n"
			}
			if stderr.String() != want {
				t.Errorf("stderr is %q, not %q", stderr.String(), want)
			}
			if left := s.folders("*"); len(left) != 0 {
				t.Errorf("files are left: %v", left)
			}
		})
	}
}

func TestContract_1_5_LockFreeForAllIsRefused(t *testing.T) {
	t.Parallel()
	var out, stderr lockedBuffer
	s := &session{t: t, dir: t.TempDir()}
	p := Program{Stdout: &out, Stderr: &stderr, Dir: s.dir, Setup: nothing(t)}
	code := p.Run(t.Context(), []string{"deployment", "-t", "x", "-u", "x", "-p", "x", "--all-deployments", "b", "--unsafe-lock-free"})
	if code != 1 || !strings.Contains(stderr.String(), "Cannot use the --unsafe-lock-free flag in conjunction with the --all-deployments flag") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	s.checkErrorLog()
}

func TestContract_1_2_FirstVariableThatIsSetWins(t *testing.T) {
	t.Parallel()
	var got DirectorAccess
	setup := Setup{Director: func(_ context.Context, a DirectorAccess) (Director, error) {
		got = a
		return nil, context.Canceled
	}}
	var out, stderr lockedBuffer
	Program{
		Stdout: &out, Stderr: &stderr, Dir: t.TempDir(), Setup: setup,
		Env: []string{"CA_CERT=bogus", "BOSH_CA_CERT=good", "BOSH_ENVIRONMENT=env", "BOSH_CLIENT=client"},
	}.Run(t.Context(), []string{"deployment", "-target=flag", "-p", "p", "-d", "d", "backup"})
	if got.CACert != "bogus" || got.Target != "flag" || got.User != "client" || got.Password != "p" {
		t.Errorf("access is %+v", got)
	}
}

// TestContract_1_1_FlagsOfASubcommandAfterOtherWords: the original's parser puts
// the flags that it knows first, and looks at no other word.
func TestContract_1_1_FlagsOfASubcommandAfterOtherWords(t *testing.T) {
	t.Parallel()
	options := []option{savePath, {names: []string{"with-manifest"}, flag: true}}
	for line, want := range map[string]string{
		"x --with-manifest -a dir y":  "--with-manifest -a dir x y",
		"x -a=dir --unknown":          "-a=dir x --unknown",
		"-a dir":                      "-a dir",
		"x -- -a dir":                 "x -- -a dir",
		"--artifact-path -a dir":      "--artifact-path -a dir",
		"--nope x --with-manifest":    "--with-manifest --nope x",
		"x - --with-manifest=false y": "--with-manifest=false x - y",
		"":                            "",
	} {
		if got := strings.Join(flagsFirst(options, strings.Fields(line)), " "); got != want {
			t.Errorf("%q becomes %q, not %q", line, got, want)
		}
	}
	var out, stderr lockedBuffer
	p := Program{Stdout: &out, Stderr: &stderr, Dir: t.TempDir(), Setup: nothing(t)}
	p.Run(t.Context(), []string{"deployment", "-t", "x", "-u", "x", "-p", "x", "--all-deployments", "backup", "please", "--unsafe-lock-free"})
	if !strings.Contains(stderr.String(), "Cannot use the --unsafe-lock-free flag") {
		t.Errorf("a flag after another word is not seen: %s", stderr.String())
	}
}

func TestContract_1_3_NameOfAHost(t *testing.T) {
	t.Parallel()
	for host, name := range map[string]string{
		"https://my.bosh.com:42": "my.bosh.com", "10.5.26.5:53": "10.5.26.5", "my.bosh.com": "my.bosh.com", "http://a/b": "a",
	} {
		if got := hostName(host); got != name {
			t.Errorf("%s is named %s", host, got)
		}
	}
}

func TestHumanSizeIsThatOfDu(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0", 512: "512", 1024: "1.0K", 4096: "4.0K", 12288: "12K", 3004 << 10: "3.0M", 1 << 20: "1.0M",
		1<<20 + 1: "1.1M", 1048575: "1.0M", 10 << 20: "10M", 10<<20 + 1: "11M", 5 << 30: "5.0G",
	} {
		if got := humanSize(n); got != want {
			t.Errorf("%d is %s, not %s", n, got, want)
		}
	}
	if !regexp.MustCompile(`^\d`).MatchString(humanSize(1 << 50)) {
		t.Error("a petabyte is not a number")
	}
}
