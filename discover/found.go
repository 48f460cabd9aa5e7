package discover

import (
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
	if err := listed(by); err != nil {
		return out, &lockstep.Error{Op: op, Err: err, Hint: listingHint(err)}
	}
	if err := w.lines(&out, by["scripts"].body); err != nil {
		var e *lockstep.Error
		if errors.As(err, &e) {
			return out, &lockstep.Error{Kind: e.Kind, Op: op, Err: err}
		}
		return out, &lockstep.Error{Op: op, Err: err, Hint: "scripts there are being changed; try again when that has ended"}
	}
	return out, nil
}

// lines reads what find and sha256sum said of scripts.
func (w layout) lines(out *probed, text []byte) error {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if mode, ok := strings.CutPrefix(line, "mode "); ok {
			w.mode(out, mode)
		} else if err := w.script(out, line); err != nil {
			return err
		}
	}
	return nil
}

// mode keeps what is worth telling of the mode of a script or a folder of some, as
// "MODE PATH". A malformed line is ignored: nothing but a warning or a refusal
// comes of one.
func (w layout) mode(out *probed, line string) {
	octal, path, _ := strings.Cut(line, " ")
	mode, err := strconv.ParseUint(octal, 8, 16)
	job, name, ok := w.split(path)
	if err != nil || !ok {
		return
	}
	if mode&0o002 != 0 {
		out.open[job] = append(out.open[job], name)
	}
	if name != "" && mode&0o111 == 0 {
		out.idle[job] = append(out.idle[job], name)
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

// listed checks that the listing is complete: it ended well, or find complained about
// nothing but folders that are not there. A file in place of one counts as none, but
// not in place of the folder of all job folders.
func listed(by map[string]frame) error {
	f, ok := by["list"]
	if _, there := by["scripts"]; !ok || !there {
		return errors.New("the answer lacks the list of scripts")
	}
	if f.code == "0" {
		return nil
	}
	complaint := strings.TrimSpace(string(f.body))
	absent := func(line string) bool {
		return strings.HasPrefix(line, "find: ") && (strings.HasSuffix(line, ": No such file or directory") ||
			strings.HasSuffix(line, "/.': Not a directory") || strings.HasSuffix(line, "/.: Not a directory"))
	}
	if complaint == "" || slices.ContainsFunc(strings.Split(complaint, "\n"), func(l string) bool { return !absent(l) }) {
		return fmt.Errorf("exit %s: %s", f.code, lastLines(complaint))
	}
	return nil
}

func listingHint(err error) string {
	if strings.Contains(err.Error(), "-printf") {
		return "it has another find there: install findutils"
	}
	if strings.Contains(err.Error(), "Permission denied") {
		return "scripts are looked for as the user that logs in; set sudo: true, or log in as root"
	}
	return "look at that folder there; a folder that cannot be listed is not taken for one without scripts"
}

// sumEscapes are how sha256sum writes a name in a line that begins with a backslash.
var sumEscapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")

// script puts a script where it belongs, from the line of sha256sum that tells of it.
func (w layout) script(out *probed, line string) error {
	digest, path, err := parseSum(line)
	if err != nil {
		return err
	}
	job, name, ok := w.split(path)
	kind := lockstep.ScriptKind(name)
	if !ok || !slices.Contains(lockstep.ScriptKinds(), kind) {
		return fmt.Errorf("%q was listed, and is not a script of a job", path)
	}
	if slices.Contains(ignoredJobs(), job) {
		return nil
	}
	if err := lockstep.CheckName("job", job); err != nil {
		return &lockstep.Error{Kind: lockstep.KindInvalid, Err: err, Hint: fmt.Sprintf("rename the folder %q there, or narrow script_location", w.head+job+w.suffix)}
	}
	if out.scripts[job] == nil {
		out.scripts[job] = map[lockstep.ScriptKind]string{}
	}
	if _, twice := out.scripts[job][kind]; twice {
		return fmt.Errorf("%q was listed twice", path)
	}
	out.scripts[job][kind] = digest
	return nil
}

// parseSum takes digest and path from a line of sha256sum.
func parseSum(line string) (digest, path string, err error) {
	text, escaped := strings.CutPrefix(line, `\`)
	digest, path, ok := strings.Cut(text, "  ")
	hex := func(c rune) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	if !ok || len(digest) != 64 || strings.ContainsFunc(digest, func(c rune) bool { return !hex(c) }) {
		return "", "", fmt.Errorf("%q is not a digest", lastLines(line))
	}
	if escaped {
		path = sumEscapes.Replace(path)
	}
	return digest, path, nil
}
