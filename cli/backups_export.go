package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lockstep"
	"lockstep/show"
)

const backupsExportHelp = `Write a backup's artifacts into a folder, one tar file each, with the manifest
beside them (lockstep.json). The folder is made; it must not have anything in it.
Files are owner-readable only: they hold the deployment's data. Each artifact is
compared with what was recorded on its way; one that is not that does not stay.

  lockstep backups export shop_20261122T144241Z ./export
  tar -tvf ./export/db-0-postgres.tar

Exit codes: 0 exported · 1 error · 2 usage.`

func (i *invocation) backupsExportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "export ID DIR", Short: "Write a backup's artifacts into a folder", Long: backupsExportHelp,
		Args: wants("ID", "DIR"), ValidArgsFunction: i.completeBackups,
		RunE: func(c *cobra.Command, args []string) error {
			return i.askingOf(c, args[0], func(ctx context.Context, svc lockstep.Service, b lockstep.Backup) error {
				if err := i.export(ctx, svc, b, args[1]); err != nil {
					return fmt.Errorf("export %s to %s: %w", b.ID, args[1], err)
				}
				fmt.Fprintf(i.Stdout, "exported %s of %s to %s\n", show.Plural(len(b.Artifacts), "artifact"), b.ID, show.Line(args[1]))
				return nil
			})
		},
	}
}

func (i *invocation) export(ctx context.Context, svc lockstep.Service, b lockstep.Backup, dir string) error {
	if err := newFolder(dir); err != nil {
		return err
	}
	for _, a := range b.Artifacts {
		// Names become file names here, so they are checked here too.
		if err := lockstep.CheckName("artifact", a.Name); err != nil {
			return err
		}
		i.Log.Info(fmt.Sprintf("exporting %s, %s", a.Name, show.Size(a.Bytes)))
		if err := exportArtifact(ctx, svc, b.ID, a.Name, filepath.Join(dir, a.Name+".tar")); err != nil {
			return fmt.Errorf("artifact %s: %w", a.Name, err)
		}
	}
	manifest, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "lockstep.json"), append(manifest, '\n'), 0o600)
}

// newFolder makes a folder, or takes an empty one.
func newFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Err: fmt.Errorf("the folder is not empty: %q is in it", there[0].Name()),
			Hint: "name a folder that does not exist yet",
		}
	}
	return nil
}

// exportArtifact writes one artifact. A file that could not be written whole
// does not stay.
func exportArtifact(ctx context.Context, svc lockstep.Service, id lockstep.BackupID, name, path string) (err error) {
	in, err := svc.OpenArtifact(ctx, id, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, untilDone{ctx, in})
	err = errors.Join(err, out.Sync(), out.Close())
	if err != nil {
		if rm := os.Remove(path); !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// untilDone reads until its context ends.
type untilDone struct {
	ctx context.Context
	io.Reader
}

// Read reads, or says why the context ended.
func (u untilDone) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.Reader.Read(b)
}
