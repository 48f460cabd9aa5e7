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
		frame, code, stderr string
		err, hint           string
	}{
		"no job folders":      {frame: "folders", code: "1", stderr: "find: '/var/vcap/jobs': No such file or directory\n"},
		"a file in between":   {frame: "list", code: "123", stderr: absent + "\nfind: '/var/vcap/jobs/b/bin/bbr/.': Not a directory\n"},
		"base is in a file":   {frame: "folders", code: "1", stderr: "find: '/var/vcap/jobs': Not a directory\n", err: "Not a directory", hint: "look at that folder"},
		"not allowed":         {frame: "folders", code: "1", stderr: "find: '/var/vcap/jobs': Permission denied\n", err: "Permission denied", hint: "sudo: true"},
		"not allowed in one":  {frame: "list", code: "123", stderr: absent + "\nfind: '/var/vcap/jobs/b/bin/bbr/.': Permission denied\n" + absent, err: "Permission denied", hint: "sudo: true"},
		"broken disk":         {frame: "list", code: "123", stderr: "find: '/x': Input/output error", err: "Input/output error", hint: "not taken for one without"},
		"without a complaint": {frame: "list", code: "126", err: "exit 126", hint: "not taken for one without"},
		"unreadable script":   {frame: "sumerr", code: "123", stderr: "sha256sum: /x: Permission denied", err: "Permission denied", hint: "sudo: true"},
		"vanished script":     {frame: "sumerr", code: "123", stderr: "sha256sum: /x: No such file or directory", err: "No such file", hint: "not taken for one without"},
	} {
		frames := []frame{{name: "files"}, {name: "sums"}, {name: "open"}}
		for _, f := range []string{"folders", "list", "sumerr"} {
			if f == c.frame {
				frames = append(frames, frame{name: f, code: c.code, body: []byte(c.stderr)})
			} else {
				frames = append(frames, frame{name: f, code: "0"})
			}
		}
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
	const path = "/var/vcap/jobs/a/bin/bbr/./backup\x00"
	sum := strings.Repeat("0a", 32) + "  x\n"
	for name, c := range map[string]struct{ files, sums, err string }{
		"fits":              {files: path, sums: sum},
		"escaped":           {files: path, sums: `\` + sum},
		"a digest missing":  {files: path + path, sums: sum, err: "2 scripts have 1 digests"},
		"one too many":      {files: path, sums: sum + sum, err: "1 scripts have 2 digests"},
		"no digest":         {files: path, sums: "x\n", err: "is not a digest"},
		"upper case":        {files: path, sums: strings.ToUpper(sum), err: "is not a digest"},
		"elsewhere":         {files: "/etc/passwd\x00", sums: sum, err: "is not a script of a job"},
		"unknown kind":      {files: "/var/vcap/jobs/a/bin/bbr/./drain\x00", sums: sum, err: "is not a script of a job"},
		"two segments":      {files: "/var/vcap/jobs/a/b/bin/bbr/./backup\x00", sums: sum, err: "is not a script of a job"},
		"no job":            {files: "/var/vcap/jobs//bin/bbr/./backup\x00", sums: sum, err: `job ""`},
		"dots for a job":    {files: "/var/vcap/jobs/../bin/bbr/./backup\x00", sums: sum, err: `job ".."`},
		"an invisible one":  {files: "/var/vcap/jobs/mysql-backup/bin/bbr/./backup\x00", sums: sum},
		"nothing whatever ": {},
	} {
		frames := []frame{
			{name: "folders", code: "0"}, {name: "list", code: "0"}, {name: "sumerr", code: "0"},
			{name: "files", body: []byte(c.files)}, {name: "sums", body: []byte(c.sums)},
		}
		_, err := way.interpret("g/0", frames)
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}
