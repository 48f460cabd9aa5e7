//go:build bbrsuite

package bbr

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	mock "lockstep/internal/mockdirector"
)

const red, plain = "\x1b[0;31m", "\x1b[0m"

// helpOf are the parts of a command's help, in order.
var (
	appHelp = []string{`USAGE:\n   bbr command \[command options\] \[subcommand\] \[subcommand options\]\nSUBCOMMANDS:\n   backup\n   backup-cleanup\n   restore\n   restore-cleanup\n   pre-backup-check\n`}

	deploymentHelp = []string{
		`--target`, `BOSH Director URL`, `BOSH_ENVIRONMENT`, `--username`, `BOSH Director username`, `BOSH_CLIENT`,
		`--password`, `BOSH Director password`, `BOSH_CLIENT_SECRET`, `--deployment`, `Name of BOSH deployment\. Omit if '--all-deployments' is provided`, `BOSH_DEPLOYMENT`,
		`--ca-cert`, `Path or value of BOSH Director custom CA certificate`, `CA_CERT`, `BOSH_CA_CERT`, `--debug`, `Enable debug logs`,
		`--all-deployments`, `Run command for all deployments\. Omit if '--deployment' is provided\. Currently only supported for: pre-backup-check, backup and backup-cleanup`,
	}
	directorHelp = []string{`--host`, `--username`, `--private-key-path`, `--debug`}
)

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func TestContract_1_1_Usage(t *testing.T) {
	t.Parallel()
	full := []string{"deployment", "--target=https://x", "-u", "u", "-password", "p"}
	named := append(append([]string{}, full...), "-d", "x")
	director := []string{"director", "--host", "h", "-u", "u", "--key", "k"}
	with := func(base []string, more ...string) []string { return append(append([]string{}, base...), more...) }
	for _, c := range []struct {
		name string
		args []string
		env  []string
		code int
		out  []string
		err  string // the whole of stderr without colours
	}{
		{name: "nothing", out: appHelp},
		{name: "help", args: []string{"help"}, out: appHelp},
		{name: "h", args: []string{"h"}, out: appHelp},
		{name: "--help", args: []string{"--help"}, code: 1, out: join([]string{`^Incorrect Usage\. flag: help requested\n`}, appHelp)},
		{name: "rubbish", args: []string{"rubbish"}, out: join([]string{`^Error command 'rubbish' not found\n\n`}, appHelp)},
		{name: "version", args: []string{"version"}, out: []string{`^bbr version 2\.0\n$`}},
		{name: "v", args: []string{"v"}, out: []string{`^bbr version 2\.0\n$`}},
		{name: "--version", args: []string{"--version"}, out: []string{`^bbr version 2\.0\n$`}},
		{name: "-v", args: []string{"-v"}, out: []string{`^bbr version 2\.0\n$`}},
		{name: "deployment help", args: []string{"deployment", "--help"}, out: deploymentHelp},
		{name: "help deployment", args: []string{"help", "deployment"}, out: deploymentHelp},
		{name: "deployment alone", args: []string{"deployment"}, code: 1, out: deploymentHelp, err: "--target flag is required."},
		{name: "director help", args: []string{"director", "-h"}, out: directorHelp},
		{name: "director alone", args: []string{"director"}, code: 1, out: directorHelp, err: "--host flag is required."},
		{name: "an unknown flag", args: with(named, "backup", "--nope"), code: 1, out: []string{`^Incorrect Usage\. flag provided but not defined: -nope\n\n`, `bbr deployment backup`}},
		{name: "an unknown flag of restore", args: with(named, "restore", "--nope", "x"), code: 1, out: []string{`^Incorrect Usage`, `--artifact-path`}},
		{name: "an unknown flag of the command", args: with(full, "--nope", "backup"), code: 1, out: join([]string{`^Incorrect Usage`}, deploymentHelp)},
		{name: "no target", args: []string{"deployment", "-u", "u", "-p", "p", "-d", "d", "backup"}, code: 1, out: deploymentHelp, err: "--target flag is required."},
		{name: "an empty target", args: []string{"deployment", "-t", "", "-u", "u", "-p", "p", "-d", "d", "backup"}, code: 1, out: deploymentHelp, err: "--target flag is required."},
		{name: "no username", args: []string{"deployment", "-t", "t", "-p", "p", "-d", "d", "backup"}, code: 1, out: deploymentHelp, err: "--username flag is required."},
		{name: "no password", args: []string{"deployment", "-t", "t", "-u", "u", "-d", "d", "restore", "-a", "x"}, code: 1, out: deploymentHelp, err: "--password flag is required."},
		{name: "neither one nor all", args: with(full, "backup"), code: 1, out: deploymentHelp, err: "provide one of '--deployment' or '--all-deployments' flags."},
		{name: "one and all", args: with(named, "--all-deployments", "backup"), code: 1, out: deploymentHelp, err: "provide one of '--deployment' or '--all-deployments' flags."},
		{name: "one by variable and all", args: with(full, "--all-deployments", "c"), env: []string{"BOSH_DEPLOYMENT=x"}, code: 1, out: deploymentHelp, err: "provide one of '--deployment' or '--all-deployments' flags."},
		{name: "help of backup without a deployment", args: with(full, "backup", "--help"), code: 1, out: deploymentHelp, err: "provide one of '--deployment' or '--all-deployments' flags."},
		{name: "help of backup", args: with(named, "backup", "--help"), out: []string{`bbr deployment backup`, `--with-manifest`, `--artifact-path`, `--unsafe-lock-free`}},
		{name: "help of backup without a target", args: []string{"deployment", "-d", "x", "backup", "--help"}, out: []string{`bbr deployment backup`}},
		{name: "help of the director's backup", args: with(director, "backup", "--help"), out: []string{`bbr director backup`, `--artifact-path`}},
		{name: "director rubbish", args: with(director, "rubbish"), out: join([]string{`^Error command 'rubbish' not found\n\n`}, directorHelp)},
		{name: "no host", args: []string{"director", "-u", "u", "--key", "k", "backup"}, code: 1, out: directorHelp, err: "--host flag is required."},
		{name: "no user", args: []string{"director", "--host", "h", "--key", "k", "backup"}, code: 1, out: directorHelp, err: "--username flag is required."},
		{name: "no key", args: []string{"director", "--host", "h", "-u", "u", "backup"}, code: 1, out: directorHelp, err: "--private-key-path flag is required."},
		{name: "variables are not read for director", args: []string{"director", "--host", "h", "--key", "k", "backup"}, env: []string{"BOSH_CLIENT=u"}, code: 1, err: "--username flag is required."},
		{name: "restore without a path", args: with(named, "restore"), code: 1, out: []string{`bbr deployment restore`}, err: "--artifact-path flag is required."},
		{name: "the director's restore without a path", args: with(director, "r"), code: 1, out: []string{`bbr director restore`}, err: "--artifact-path flag is required."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			s.program, s.env = "bbr-2.0", c.env
			o := s.run(c.args...).exits(c.code).says(c.out...)
			want := ""
			if c.err != "" {
				want = red + c.err + plain + "\n"
			}
			if o.stderr != want {
				t.Errorf("stderr is %q, not %q", o.stderr, want)
			}
			if left := s.entries("*"); len(left) != 0 {
				t.Errorf("in the working directory: %v", left)
			}
		})
	}
}

// No request is made, for backup and restore alike.
func TestContract_6_1_BadAddressesAndCertificates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, flag, value, want string }{
		{"address", "--target", "https://:25555", `invalid bosh URL`},
		{"certificate file", "--ca-cert", "/tmp/whatever", `open /tmp/whatever: no such file or directory`},
		{"certificate text", "--ca-cert", "-----BEGIN", `Missing PEM block`},
	} {
		for _, sub := range [][]string{{"backup"}, {"restore", "--artifact-path", "x"}} {
			t.Run(c.name+" "+sub[0], func(t *testing.T) {
				t.Parallel()
				s, d := withDirector(t)
				args := []string{"deployment", "-t", d.URL(), "-u", "admin", "-p", "admin", "-d", "x", c.flag, c.value}
				o := s.run(append(args, sub...)...).exits(1).complains(c.want).advises(false)
				s.failedInWriting(o)
			})
		}
	}
}

func TestContract_1_2_Variables(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	good := d.CACert()
	vars := func(more ...string) []string {
		return append([]string{"BOSH_ENVIRONMENT=" + d.URL(), "BOSH_CLIENT=" + mock.Username, "BOSH_CLIENT_SECRET=" + mock.Password, "BOSH_DEPLOYMENT=nope"}, more...)
	}
	gone := func() {
		d.Expect(mock.Info(), mock.Fails("GET", "/deployments/nope/vms?format=full", 404, "there is no nope"))
	}
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"all by variables", vars("BOSH_CA_CERT=" + good), []string{"deployment", "backup"}, `there is no nope`},
		{"text of the certificate", vars("CA_CERT=" + good), []string{"deployment", "pre-backup-check"}, `there is no nope`},
		{"CA_CERT first", vars("CA_CERT="+good, "BOSH_CA_CERT=bogus"), []string{"deployment", "c"}, `there is no nope`},
		{"the flag beats them", vars("CA_CERT=bogus"), []string{"deployment", "--ca-cert", good, "--debug", "backup"}, `there is no nope`},
	} {
		gone()
		s.env = c.env
		s.run(c.args...).exits(1).complains(c.want)
		d.Verify()
	}
	s.env = vars("CA_CERT=/bogus", "BOSH_CA_CERT="+good)
	s.run("deployment", "backup").exits(1).complains(`open /bogus: no such file or directory`)
}

func TestContract_1_7_ErrorsAreListed(t *testing.T) {
	t.Parallel()
	s, d := withDirector(t)
	d.Expect(mock.Info(), mock.Fails("GET", "/deployments/"+name+"/vms?format=full", 404, "there is none"))
	o := s.deployment(name, "backup").exits(1).advises(false).complains(`^1 error occurred:\nerror 1:\n`, `there is none`)
	if strings.Contains(o.stderr, "goroutine") || regexp.MustCompile(`\.go:\d`).MatchString(o.stderr) {
		t.Error("stderr has a trace")
	}
	s.failedInWriting(o)
	if got, _ := filepath.Glob(filepath.Join(s.dir, "*")); len(got) != 1 {
		t.Errorf("in the working directory: %v", got)
	}
}
