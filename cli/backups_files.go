package cli

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/browse"
	"lockstep/show"
)

const backupsLsHelp = `List the files in a backup: its artifacts, or what is below ARTIFACT or
ARTIFACT/PATH, as it was recorded when the backup was proven. The artifact itself is
read only where another program made the backup.

  lockstep backups ls shop_20261122T144241Z
  lockstep backups ls latest db-0-postgres/dumps

"backups find" looks through all backups, "backups diff" compares two.

Exit codes: 0 listed · 1 error, or no such file · 2 usage.`

func (i *invocation) backupsLsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls ID [ARTIFACT[/PATH]]", Short: "List the files in a backup", Long: backupsLsHelp,
		Args: wantsBetween(1, "ID", "ARTIFACT/PATH"), ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			return i.askingOf(c, args[0], func(ctx context.Context, svc lockstep.Service, b lockstep.Backup) error {
				if len(args) == 1 {
					return i.listArtifacts(b)
				}
				return i.listFiles(ctx, svc, b, args[1])
			})
		},
	}
}

// fileLine is one file of a backup as `backups ls` tells of it.
type fileLine struct {
	Path  string `json:"path"`
	Type  string `json:"type"`
	Mode  string `json:"mode"`
	Owner string `json:"owner"`
	Size  int64  `json:"size"`
	MTime string `json:"mtime"`
	Link  string `json:"link,omitempty"`
}

func (i *invocation) listArtifacts(b lockstep.Backup) error {
	if i.JSON() {
		return i.WriteJSON(b.Artifacts)
	}
	t := show.NewTable("ARTIFACT", ">SIZE", ">ENTRIES")
	for _, a := range b.Artifacts {
		t.Add(a.Name, show.Size(a.Bytes), a.Entries)
	}
	i.Table(t)
	return nil
}

func (i *invocation) listFiles(ctx context.Context, svc lockstep.Service, b lockstep.Backup, at string) error {
	lines, err := linesAt(ctx, svc, b, at)
	if err == nil && len(lines) == 0 {
		err = noFile(b, at)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(lines, func(a, b fileLine) int { return cmp.Compare(a.Path, b.Path) })
	if i.JSON() {
		return i.WriteJSON(lines)
	}
	t := show.NewTable("MODE", "OWNER", ">SIZE", "MODIFIED", "PATH")
	for _, l := range lines {
		name := show.Line(l.Path)
		if l.Link != "" {
			name += " -> " + show.Line(l.Link)
		}
		t.Add(l.Mode, l.Owner, show.Size(l.Size), l.MTime, name)
	}
	i.Table(t)
	return nil
}

// linesAt are the files at a place: those of the recorded list, or of the artifact
// itself where another program made the backup, which records none.
func linesAt(ctx context.Context, svc lockstep.Service, b lockstep.Backup, at string) (lines []fileLine, err error) {
	place := browse.ParsePlace(at)
	if art, ok := b.Named(place.Artifact); ok && art.Digest == "" {
		err := eachFile(ctx, svc, b, at, func(h *tar.Header, rel string, _ io.Reader) error {
			lines = append(lines, lineOf(h, rel))
			return nil
		})
		return lines, err
	}
	for e, err := range browse.Below(ctx, svc, b.ID, place) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, lineOfEntry(e))
	}
	return lines, nil
}

func lineOf(h *tar.Header, rel string) fileLine {
	kind := map[byte]string{tar.TypeDir: "folder", tar.TypeSymlink: "link", tar.TypeLink: "hard link"}[h.Typeflag]
	return fileLine{
		Path: rel, Type: cmp.Or(kind, "file"), Mode: h.FileInfo().Mode().String(), Owner: fmt.Sprintf("%d:%d", h.Uid, h.Gid),
		Size: h.Size, MTime: h.ModTime.UTC().Format(time.RFC3339), Link: h.Linkname,
	}
}

// entryModes are the types of entries, as io/fs has them.
var entryModes = map[lockstep.EntryType]fs.FileMode{lockstep.EntryDir: fs.ModeDir, lockstep.EntrySymlink: fs.ModeSymlink}

var entryTypes = map[lockstep.EntryType]string{
	lockstep.EntryFile: "file", lockstep.EntryDir: "folder", lockstep.EntrySymlink: "link", lockstep.EntryHardlink: "hard link",
}

// modeOf is an entry's type and permissions, as a listing shows them.
func modeOf(e lockstep.Entry) string {
	mode := entryModes[e.Type] | fs.FileMode(e.Mode&0o777)
	for bit, special := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if e.Mode&bit != 0 {
			mode |= special
		}
	}
	return mode.String()
}

func lineOfEntry(e lockstep.Entry) fileLine {
	return fileLine{
		Path: e.Path, Type: entryTypes[e.Type], Mode: modeOf(e), Owner: fmt.Sprintf("%d:%d", e.UID, e.GID),
		Size: e.Size, MTime: time.Unix(0, e.MTime).UTC().Format(time.RFC3339), Link: e.Link,
	}
}

// eachFile reads an artifact and calls do for the file at ARTIFACT/PATH, and for
// everything below it.
func eachFile(ctx context.Context, svc lockstep.Service, b lockstep.Backup, at string, do func(h *tar.Header, rel string, content io.Reader) error) (err error) {
	name, below, _ := strings.Cut(strings.Trim(at, "/"), "/")
	if _, ok := b.Named(name); !ok {
		return lockstep.NoArtifact(b.ID, name)
	}
	stream, err := svc.OpenArtifact(ctx, b.ID, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	in := tar.NewReader(untilDone{ctx, stream})
	for {
		h, err := in.Next()
		if err == io.EOF {
			// To its end: only then was all of it as it was put.
			_, err = io.Copy(io.Discard, untilDone{ctx, stream})
			return err
		}
		if err != nil {
			return fmt.Errorf("read artifact %s: %w", name, err)
		}
		rel := path.Clean(h.Name)
		if below == "" || rel == below || strings.HasPrefix(rel, below+"/") {
			if err := do(h, rel, in); err != nil {
				return err
			}
		}
	}
}

func noFile(b lockstep.Backup, at string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("read backup %s", b.ID), Err: fmt.Errorf("there is no %q", at),
		Hint: fmt.Sprintf("`lockstep backups ls %s ARTIFACT` lists the files of an artifact", b.ID),
	}
}

const backupsCatHelp = `Write one file of a backup to the standard output. The artifact is read to its end,
so the exit code says whether all of it was as it was backed up.

  lockstep backups cat shop_20261122T144241Z db-0-postgres/dump.sql | less

Exit codes: 0 written · 1 error, or no such file · 2 usage.`

func (i *invocation) backupsCatCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cat ID ARTIFACT/PATH", Short: "Write one file of a backup to the standard output", Long: backupsCatHelp,
		Args: wants("ID", "ARTIFACT/PATH"), ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			return i.askingOf(c, args[0], func(ctx context.Context, svc lockstep.Service, b lockstep.Backup) error {
				return i.cat(ctx, svc, b, args[1])
			})
		},
	}
}

func (i *invocation) cat(ctx context.Context, svc lockstep.Service, b lockstep.Backup, at string) error {
	_, want, _ := strings.Cut(strings.Trim(at, "/"), "/")
	found := false
	err := eachFile(ctx, svc, b, at, func(h *tar.Header, rel string, content io.Reader) error {
		switch {
		case rel != want || want == "":
			return nil
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse:
			return &lockstep.Error{Kind: lockstep.KindInvalid, Op: fmt.Sprintf("read %s", at), Err: errors.New("it is not a file: " + lineOf(h, rel).Type + " " + h.Linkname)}
		}
		found = true
		_, err := io.Copy(i.Stdout, content)
		return err
	})
	if err == nil && !found {
		err = noFile(b, at)
	}
	return err
}
