package discover

import (
	"strings"
	"testing"

	"lockstep"
)

// TestListings: what find and sha256sum complain of decides whether a listing
// is one of nothing, or none at all.
func TestListings(t *testing.T) {
	t.Parallel()
	way, err := newLayout(lockstep.DefaultLocations())
	if err != nil {
		t.Fatal(err)
	}
	const absent = "find: '/var/vcap/jobs/a/bin/bbr/.': No such file or directory"
	for name, c := range map[string]struct {
		code, stderr string
		err, hint    string
	}{
		"no job folders":      {code: "1", stderr: "find: '/var/vcap/jobs': No such file or directory\n"},
		"a file in between":   {code: "1", stderr: absent + "\nfind: '/var/vcap/jobs/b/bin/bbr/.': Not a directory\n"},
		"base is in a file":   {code: "1", stderr: "find: '/var/vcap/jobs': Not a directory\n", err: "Not a directory", hint: "look at that folder"},
		"not allowed":         {code: "1", stderr: "find: '/var/vcap/jobs': Permission denied\n", err: "Permission denied", hint: "sudo: true"},
		"not allowed in one":  {code: "1", stderr: absent + "\nfind: '/var/vcap/jobs/b/bin/bbr/.': Permission denied\n" + absent, err: "Permission denied", hint: "sudo: true"},
		"broken disk":         {code: "1", stderr: "find: '/x': Input/output error", err: "Input/output error", hint: "not taken for one without"},
		"another find":        {code: "1", stderr: "find: unrecognized: -printf", err: "unrecognized", hint: "install findutils"},
		"a digest missing":    {code: "1", stderr: absent + "\nsha256sum: /var/vcap/jobs/a/bin/bbr/./backup: No such file or directory", err: "sha256sum", hint: "not taken for one"},
		"without a complaint": {code: "126", err: "exit 126", hint: "not taken for one without"},
		"unreadable script":   {code: "1", stderr: "sha256sum: /x: Permission denied", err: "Permission denied", hint: "sudo: true"},
		"vanished script":     {code: "1", stderr: "sha256sum: /x: No such file or directory", err: "No such file", hint: "not taken for one without"},
	} {
		frames := []frame{{name: "scripts"}, {name: "list", code: c.code, body: []byte(c.stderr)}}
		_, err := way.interpret("g/0", frames)
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(lockstep.HintOf(err), c.hint)):
			t.Errorf("%s: %v, hint %q", name, err, lockstep.HintOf(err))
		}
	}
}

// TestAnswersThatDoNotFit: nothing is made of a path or digest that cannot be.
func TestAnswersThatDoNotFit(t *testing.T) {
	t.Parallel()
	way, err := newLayout(lockstep.DefaultLocations())
	if err != nil {
		t.Fatal(err)
	}
	const path = "/var/vcap/jobs/a/bin/bbr/./backup\n"
	sum := strings.Repeat("0a", 32) + "  "
	for name, c := range map[string]struct{ lines, err string }{
		"fits":              {lines: sum + path},
		"escaped":           {lines: `\` + sum + path},
		"with modes":        {lines: "mode 777 " + path + sum + path + "mode x\nmode 777 \n"},
		"no path":           {lines: strings.TrimSpace(sum) + "\n", err: "is not a digest"},
		"no digest":         {lines: "x\n", err: "is not a digest"},
		"upper case":        {lines: strings.ToUpper(sum) + path, err: "is not a digest"},
		"twice":             {lines: sum + path + sum + path, err: "was listed twice"},
		"elsewhere":         {lines: sum + "/etc/passwd\n", err: "is not a script of a job"},
		"unknown kind":      {lines: sum + "/var/vcap/jobs/a/bin/bbr/./drain\n", err: "is not a script of a job"},
		"two segments":      {lines: sum + "/var/vcap/jobs/a/b/bin/bbr/./backup\n", err: "is not a script of a job"},
		"no job":            {lines: sum + "/var/vcap/jobs//bin/bbr/./backup\n", err: `job ""`},
		"dots for a job":    {lines: sum + "/var/vcap/jobs/../bin/bbr/./backup\n", err: `job ".."`},
		"a newline":         {lines: `\` + sum + `/var/vcap/jobs/a\nb/bin/bbr/./backup`, err: `job "a\nb"`},
		"an invisible one":  {lines: sum + "/var/vcap/jobs/mysql-backup/bin/bbr/./backup\n"},
		"nothing whatever ": {},
	} {
		_, err := way.interpret("g/0", []frame{{name: "list", code: "0"}, {name: "scripts", body: []byte(c.lines)}})
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}
