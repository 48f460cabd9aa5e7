package dir

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/spill"
)

// bbrTime is how BBR writes a time, in the local zone.
const bbrTime = "2006/01/02 15:04:05 MST"

// writeMetadata writes the file that BBR restores by. Its checksums are those
// of `find . -type f | xargs shasum -a 256` in the artifact's folder: every
// name of every regular file, hard links included, by its member name "./…".
//
// BBR computes the same map from the tar, but with links of both kinds as
// empty files, and on the instance as above, and wants all three to be equal.
// So it cannot restore an artifact that holds a symbolic link, or a hard link
// to a file that is not empty, whatever is written here: it stops with "Backup
// is corrupted" before it touches an instance. Neither could it have made that
// artifact, nor one with blanks or quotes in a file's name.
func writeMetadata(ctx context.Context, w io.Writer, dir *folder, m lockstep.Backup) error {
	y := &yamlWriter{w: w}
	var custom []lockstep.Artifact
	var order []lockstep.Slot // of instances, without a job
	instances := map[lockstep.Slot][]lockstep.Artifact{}
	for _, a := range m.Artifacts {
		if a.Custom {
			custom = append(custom, a)
			continue
		}
		at := lockstep.Slot{Group: a.Group, Index: a.Index}
		if instances[at] == nil {
			order = append(order, at)
		}
		instances[at] = append(instances[at], a)
	}
	if len(order) > 0 {
		y.line("instances:")
	}
	for _, at := range order {
		y.line("- name: " + scalar(at.Group))
		y.line("  index: " + quoted(at.Index))
		y.line("  artifacts:")
		for _, a := range instances[at] {
			if err := y.artifact(ctx, dir, "  ", a.Job, a.Name); err != nil {
				return err
			}
		}
	}
	if len(custom) > 0 {
		y.line("custom_artifacts:")
	}
	for _, a := range custom {
		if err := y.artifact(ctx, dir, "", a.Name, a.Name); err != nil {
			return err
		}
	}
	y.line("backup_activity:")
	y.line("  start_time: " + m.StartedAt.In(time.Local).Format(bbrTime))
	y.line("  finish_time: " + m.FinishedAt.In(time.Local).Format(bbrTime))
	return y.err
}

// yamlWriter writes lines; after an error it writes nothing more.
type yamlWriter struct {
	w   io.Writer
	err error
}

func (y *yamlWriter) line(s string) {
	if y.err == nil {
		_, y.err = io.WriteString(y.w, s+"\n")
	}
}

// artifact writes one element of a list of artifacts. It is written line by
// line, for a list may have a million entries.
func (y *yamlWriter) artifact(ctx context.Context, dir *folder, indent, name, file string) error {
	rec, f, err := readStaged(dir, file)
	if err != nil {
		return err
	}
	list, err := readSection(ctx, f, rec)
	defer list.Close()
	if err := errors.Join(err, f.Close(), ctx.Err()); err != nil {
		return err
	}
	y.line(indent + "- name: " + scalar(name))
	any := false
	for e, err := range list.All() {
		if err != nil {
			return err
		}
		sum, ok, err := checksum(list, e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if !any {
			y.line(indent + "  checksums:")
			any = true
		}
		key := "./" + e.Path
		if len(key) < 200 {
			y.line(indent + "    " + scalar(key) + ": " + sum)
			continue
		}
		// YAML wants longer keys announced.
		y.line(indent + "    ? " + scalar(key))
		y.line(indent + "    : " + sum)
	}
	if !any {
		y.line(indent + "  checksums: {}")
	}
	return y.err
}

// checksum is the SHA-256 of a name of a regular file, of which there are several
// where it is a hard link.
func checksum(list *spill.List, e lockstep.Entry) (sum string, ok bool, err error) {
	if e.Type == lockstep.EntryHardlink {
		e, _, err = list.Find(e.Link)
	}
	return fmt.Sprintf("%x", e.Sum), e.Type == lockstep.EntryFile, err
}

// scalar is s as a YAML scalar on one line. What is not UTF-8 is !!binary.
func scalar(s string) string {
	if !utf8.ValidString(s) {
		return `!!binary "` + base64.StdEncoding.EncodeToString([]byte(s)) + `"`
	}
	plain := strings.HasPrefix(s, "./")
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '/' || c == '-':
		default:
			return quoted(s)
		}
	}
	if plain {
		return s
	}
	out, err := yaml.Marshal(s) // knows which words mean something else, such as "no" or "1e3"
	if err != nil {
		return quoted(s)
	}
	return string(bytes.TrimSpace(out))
}

// quoted is s between double quotes. JSON's escapes are YAML's, but for those
// that JSON does not need.
func quoted(s string) string {
	b, _ := json.Marshal(s) // valid UTF-8 always has a JSON form
	return strings.NewReplacer("\x7f", `\u007f`, "\u0085", `\u0085`, "\ufeff", `\ufeff`, "\ufffe", `\ufffe`, "\uffff", `\uffff`).Replace(string(b))
}
