package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const backupsExtractHelp = `Write files of a backup into a folder: one file, or a folder with all below it, or
a whole artifact. The folder is made; it must not have anything in it. What is
written has the paths that it has in the artifact, its times and permissions, and
as root its owners; set-user-ID and set-group-ID bits are left out.

The artifact is read to its end and compared with what was recorded, so the exit
code says whether all is as it was backed up. After an error what could be read
stays there.

  lockstep backups ls latest db-0-postgres
  lockstep backups extract latest db-0-postgres/dumps --to ./dumps

Exit codes: 0 written · 1 error, or no such file · 2 usage.`

func (i *invocation) backupsExtractCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "extract ID ARTIFACT[/PATH] --to DIR", Short: "Write files of a backup into a folder", Long: backupsExtractHelp,
		Args: wants("ID", "ARTIFACT[/PATH]"), ValidArgsFunction: i.completeBackups, DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			if to == "" {
				return usage(helpOf(c), "backups extract: --to is wanted")
			}
			return i.askingOf(c, args[0], func(ctx context.Context, svc lockstep.Service, b lockstep.Backup) error {
				return i.extract(ctx, svc, b, args[1], to)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "the `DIR` that they are written into")
	return c
}

func (i *invocation) extract(ctx context.Context, svc lockstep.Service, b lockstep.Backup, at, to string) error {
	if err := newFolder(to); err != nil {
		return fmt.Errorf("extract to %s: %w", to, err)
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return fmt.Errorf("extract to %s: %w", to, err)
	}
	defer root.Close()
	x := &extraction{root: root, owners: os.Geteuid() == 0}
	ended := i.tell(ctx, func() string {
		return fmt.Sprintf("extracted %d files, %s", x.files.Load(), show.Size(x.bytes.Load()))
	})
	err = errors.Join(eachFile(ctx, svc, b, at, x.member), x.finish())
	ended()
	switch {
	case err != nil:
		return fmt.Errorf("extract %s of backup %s: what is in %s may not be what was backed up: %w", at, b.ID, to, err)
	case !x.any:
		return noFile(b, at)
	case i.JSON():
		return i.WriteJSON(extracted{b.ID, at, to, x.files.Load(), x.bytes.Load()})
	}
	fmt.Fprintf(i.Stdout, "extracted %s, %s, to %s\n", show.Plural(int(x.files.Load()), "file"), show.Size(x.bytes.Load()), show.Line(to))
	return nil
}

// extracted is what `backups extract` did.
type extracted struct {
	Backup lockstep.BackupID `json:"backup"`
	Path   string            `json:"path"`
	To     string            `json:"to"`
	// Files are those that are not folders.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// extraction writes members of a tar below a folder, which nothing of them leads out
// of: not a name, and not a link that came before.
type extraction struct {
	root         *os.Root
	owners       bool
	any          bool
	files, bytes atomic.Int64
	folders      []*tar.Header // whose modes and times are set when all is in them
	paths        []string
}

func (x *extraction) member(h *tar.Header, rel string, content io.Reader) error {
	x.any = true
	if rel == "." {
		return nil
	}
	if err := x.write(h, rel, content); err != nil {
		return fmt.Errorf("%q: %w", rel, err)
	}
	return nil
}

func (x *extraction) write(h *tar.Header, rel string, content io.Reader) error {
	if err := x.root.MkdirAll(path.Dir(rel), 0o700); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		x.folders, x.paths = append(x.folders, h), append(x.paths, rel)
		return x.root.MkdirAll(rel, 0o700)
	}
	x.files.Add(1)
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return errors.Join(x.file(rel, content), x.dress(h, rel))
	case tar.TypeSymlink:
		return errors.Join(x.root.Symlink(h.Linkname, rel), x.own(h, rel))
	case tar.TypeLink:
		err := x.root.Link(path.Clean(h.Linkname), rel)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("it is another name of %q, which is not extracted: extract a folder that has both", path.Clean(h.Linkname))
		}
		return err
	}
	return errors.New("it is neither a file nor a folder nor a link")
}

func (x *extraction) file(rel string, content io.Reader) error {
	f, err := x.root.OpenFile(rel, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	x.bytes.Add(n)
	return errors.Join(err, f.Close())
}

// dress gives a file or folder its owner, permissions and time.
func (x *extraction) dress(h *tar.Header, rel string) error {
	return errors.Join(x.own(h, rel), x.root.Chmod(rel, h.FileInfo().Mode().Perm()), x.root.Chtimes(rel, time.Time{}, h.ModTime))
}

func (x *extraction) own(h *tar.Header, rel string) error {
	if !x.owners {
		return nil
	}
	return x.root.Lchown(rel, h.Uid, h.Gid)
}

// finish dresses folders, the innermost first.
func (x *extraction) finish() error {
	for n, h := range slices.Backward(x.folders) {
		if err := x.dress(h, x.paths[n]); err != nil {
			return fmt.Errorf("%q: %w", x.paths[n], err)
		}
	}
	return nil
}
