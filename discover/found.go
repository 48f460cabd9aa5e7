package discover

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lockstep"
)

// probed is what an instance answered, checked.
type probed struct {
	// scripts are the digests of found scripts, by job and kind.
	scripts map[string]map[lockstep.ScriptKind]string
	// open are jobs whose scripts, or their folders ("" as the name), can be
	// written to by everybody.
	open map[string][]string
	// idle are scripts, by job, that nobody may execute.
	idle map[string][]string
	// answers are what metadata scripts said, by job.
	answers map[string]answer
}

// answer is how a metadata script ended and what it printed.
type answer struct {
	code           string // as in probe.sh
	stdout, stderr []byte
}

// interpret makes sense of frames; every name in them is checked.
func (w layout) interpret(instance lockstep.InstanceID, frames []frame) (probed, error) {
	out := probed{
		scripts: map[string]map[lockstep.ScriptKind]string{},
		open:    map[string][]string{},
		idle:    map[string][]string{},
		answers: map[string]answer{},
	}
	op := "look for scripts on " + string(instance)
	by := map[string]frame{}
	for _, f := range frames {
		switch f.name {
		case "stdout", "stderr":
			w.answer(out.answers, f)
		default:
			by[f.name] = f
		}
	}
	if f, ok := by["missing"]; ok {
		return out, &lockstep.Error{
			Op: op, Err: errors.New("programs are missing there:" + f.arg),
			Hint: "install coreutils and findutils there",
		}
	}
	if err := complete(by); err != nil {
		return out, &lockstep.Error{Op: op, Err: err, Hint: listingHint(err)}
	}
	if err := w.files(&out, by["files"].body, by["sums"].body); err != nil {
		var e *lockstep.Error
		if errors.As(err, &e) {
			return out, &lockstep.Error{Kind: e.Kind, Op: op, Err: err}
		}
		return out, &lockstep.Error{Op: op, Err: err, Hint: "scripts there are being changed; try again when that has ended"}
	}
	w.modes(&out, split(by["modes"].body))
	return out, nil
}

// modes keeps what is worth telling of the modes of scripts and their folders.
// What makes no sense is passed over: nothing but a warning or a refusal comes
// of it.
func (w layout) modes(out *probed, list []string) {
	for i := 0; i+1 < len(list); i += 2 {
		mode, err := strconv.ParseUint(list[i], 8, 16)
		job, name, ok := w.split(list[i+1])
		if err != nil || !ok {
			continue
		}
		if mode&0o002 != 0 {
			out.open[job] = append(out.open[job], name)
		}
		if name != "" && mode&0o111 == 0 {
			out.idle[job] = append(out.idle[job], name)
		}
	}
}

// answer keeps what a metadata script said.
func (w layout) answer(answers map[string]answer, f frame) {
	job, name, ok := w.split(f.arg)
	if !ok || name != string(lockstep.ScriptMetadata) {
		return
	}
	a := answers[job]
	a.code = f.code
	if f.name == "stdout" {
		a.stdout = f.body
	} else {
		a.stderr = f.body
	}
	answers[job] = a
}

// complete checks all listings, in the order in which they were made.
func complete(by map[string]frame) error {
	for _, name := range []string{"folders", "list", "sumerr"} {
		if err := listed(by, name); err != nil {
			return err
		}
	}
	return nil
}

// listed checks that a listing is complete: it ended well, or complained about
// nothing but folders that are not there.
func listed(by map[string]frame, name string) error {
	f, ok := by[name]
	if !ok {
		return fmt.Errorf("the answer lacks %q", name)
	}
	if f.code == "0" {
		return nil
	}
	complaint := strings.TrimSpace(string(f.body))
	absent := func(line string) bool {
		return strings.HasSuffix(line, ": No such file or directory") || name == "list" && strings.HasSuffix(line, ": Not a directory")
	}
	if name == "sumerr" || complaint == "" || slices.ContainsFunc(strings.Split(complaint, "\n"), func(l string) bool { return !absent(l) }) {
		return fmt.Errorf("exit %s: %s", f.code, lastLines(complaint))
	}
	return nil
}

func listingHint(err error) string {
	if strings.Contains(err.Error(), "Permission denied") {
		return "scripts are looked for as the user that logs in; set sudo: true, or log in as root"
	}
	return "look at that folder there; a folder that cannot be listed is not taken for one without scripts"
}

// split takes apart a list whose items end in a NUL.
func split(list []byte) []string {
	if len(list) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
}

// files pairs paths with digests and puts them where they belong.
func (w layout) files(out *probed, list, sums []byte) error {
	paths := split(list)
	lines := bytes.Split(bytes.TrimSuffix(sums, []byte("\n")), []byte("\n"))
	if len(sums) == 0 {
		lines = nil
	}
	if len(lines) != len(paths) {
		return fmt.Errorf("%d scripts have %d digests", len(paths), len(lines))
	}
	for i, path := range paths {
		job, name, ok := w.split(path)
		kind := lockstep.ScriptKind(name)
		if !ok || !slices.Contains(lockstep.ScriptKinds(), kind) {
			return fmt.Errorf("%q was listed, and is not a script of a job", path)
		}
		if slices.Contains(ignoredJobs(), job) {
			continue
		}
		if err := lockstep.CheckName("job", job); err != nil {
			return &lockstep.Error{Kind: lockstep.KindInvalid, Err: err, Hint: fmt.Sprintf("rename the folder %q there, or narrow script_location", w.head+job+w.suffix)}
		}
		digest, err := parseSum(lines[i])
		if err != nil {
			return err
		}
		if out.scripts[job] == nil {
			out.scripts[job] = map[lockstep.ScriptKind]string{}
		}
		out.scripts[job][kind] = digest
	}
	return nil
}

// parseSum takes the digest from a line of sha256sum, which begins with a
// backslash where the file's name had to be escaped.
func parseSum(line []byte) (string, error) {
	word, _, _ := strings.Cut(strings.TrimPrefix(string(line), `\`), " ")
	hex := func(c rune) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	if len(word) != 64 || strings.ContainsFunc(word, func(c rune) bool { return !hex(c) }) {
		return "", fmt.Errorf("%q is not a digest", lastLines(string(line)))
	}
	return word, nil
}
