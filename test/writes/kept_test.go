package writes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lockstep"
	"lockstep/auditlog"
	"lockstep/serve"
)

// oneJob is a deployment of one job on a folder of this machine.
const oneJob = `state_dir: state
repository: {dir: backups}
deployments:
  shop:
    local: {}
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
    instance_groups:
    - name: db
      instances: [{id: "0", dir: shop}]
`

// openWorld opens what is configured in the folder.
func openWorld(dir string) (serve.Orchestrator, error) {
	return serve.Open(context.Background(), serve.Options{
		ConfigPath: filepath.Join(dir, "lockstep.yaml"), Getenv: func(string) string { return "" }, Version: "test",
		Logger: slog.New(slog.DiscardHandler),
	})
}

// kept is what a repository must give back.
type kept struct {
	Backup   lockstep.Backup
	Artifact []byte
}

// keepOne makes a backup of the one job below dir, verifies it, and closes all.
func keepOne(t *testing.T, dir string) kept {
	t.Helper()
	script := "#!/bin/sh\nfor n in 1 2 3; do seq $n 400 >\"$BBR_ARTIFACT_DIRECTORY/file $n\"; done\n"
	bin := filepath.Join(dir, "shop", "jobs", "pg", "bin")
	err := errors.Join(os.MkdirAll(bin, 0o700), os.WriteFile(filepath.Join(bin, "backup"), []byte(script), 0o700),
		os.WriteFile(filepath.Join(dir, "lockstep.yaml"), []byte(oneJob), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	o, err := openWorld(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	id, err := o.Service.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range o.Service.Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
	}
	list, err := o.Service.Backups(ctx, "shop")
	if err != nil || len(list) != 1 {
		t.Fatalf("backups: %+v, %v", list, err)
	}
	if rep, err := o.Service.Verify(ctx, list[0].ID); err != nil || !rep.OK {
		t.Fatalf("verify: %+v, %v", rep, err)
	}
	want, err := readKept(o.Service)
	if err := errors.Join(err, o.Close()); err != nil {
		t.Fatal(err)
	}
	return want
}

// errFound is wrapped by what the program says of damage.
var errFound = errors.New("found")

// readKept lists the backup, verifies it, and reads its artifact.
func readKept(svc lockstep.Service) (kept, error) {
	ctx := context.Background()
	list, err := svc.Backups(ctx, "shop")
	if err != nil {
		return kept{}, fmt.Errorf("%w: %w", errFound, err)
	}
	if len(list) != 1 || list[0].Data != lockstep.DataVerified {
		return kept{}, fmt.Errorf("%w: %+v", errFound, list)
	}
	k := kept{Backup: list[0]}
	rep, err := svc.Verify(ctx, k.Backup.ID)
	if err != nil || !rep.OK {
		return k, fmt.Errorf("%w: %+v, %w", errFound, rep.Problems, err)
	}
	r, err := svc.OpenArtifact(ctx, k.Backup.ID, k.Backup.Artifacts[0].Name)
	if err != nil {
		return k, fmt.Errorf("%w: %w", errFound, err)
	}
	defer r.Close()
	if k.Artifact, err = io.ReadAll(r); err != nil {
		err = fmt.Errorf("%w: %w", errFound, err)
	}
	return k, err
}

// TestFlippedBitsOfARepository flips bits all over every file of a repository: the
// backup is given back as it was, or somebody is told.
//
//fault:40 a bit is flipped anywhere in a repository: manifest, entry lists, archives, identity, results | the backup is given back byte by byte as it was, or a list, a verify or a read names what is damaged
func TestFlippedBitsOfARepository(t *testing.T) {
	dir := filepath.Join(scratchFolder(t), "world")
	want := keepOne(t, dir)
	files := folderOf(t, dir)
	spare := spareReserve(t)
	delete(files, filepath.Join("state", "reserve"))
	tested := 0
	for name := range files {
		if !strings.HasPrefix(name, "backups"+string(filepath.Separator)) {
			continue
		}
		tested++
		t.Run(strings.ReplaceAll(name, string(want.Backup.ID), "ID"), func(t *testing.T) {
			flipped(t, dir, files, name, func() (bool, error) {
				if err := os.Link(spare, filepath.Join(dir, "state", "reserve")); err != nil {
					return false, err
				}
				o, err := openWorld(dir)
				if err != nil {
					return true, nil
				}
				defer o.Close()
				got, err := readKept(o.Service)
				if errors.Is(err, errFound) {
					return true, nil
				}
				if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Second)); err != nil || diff != "" {
					return false, fmt.Errorf("nobody says so, but (-want +got) %v:\n%s", err, diff)
				}
				return false, nil
			})
		})
	}
	if tested < 4 {
		t.Errorf("only %d files were tested", tested)
	}
}

// TestFlippedBitsOfAnAuditLog flips bits all over the audit log, its heads and its
// key: opening or verifying it says so.
//
//fault:audit-flip a bit is flipped anywhere in the audit log, its signed heads or its key | the log is refused, or its verify names the record or head; a cut-off last record is told as such
func TestFlippedBitsOfAnAuditLog(t *testing.T) {
	dir := filepath.Join(scratchFolder(t), "audit")
	quiet := slog.New(slog.DiscardHandler)
	l, err := auditlog.Open(dir, auditlog.Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		e := auditlog.Entry{By: "token:ann", Action: "runs:backup", Result: auditlog.Allowed, Deployment: "shop", Object: fmt.Sprint("run ", i)}
		if err := l.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			l.Sign(t.Context())
		}
	}
	l.Sign(t.Context())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := folderOf(t, dir)
	want, err := auditlog.Verify(t.Context(), dir, auditlog.Trust{})
	if err != nil || !want.OK || want.Heads < 3 {
		t.Fatalf("verify: %+v, %v", want, err)
	}
	for name := range files {
		if len(files[name]) == 0 {
			continue // a lock
		}
		t.Run(name, func(t *testing.T) {
			flipped(t, dir, files, name, func() (bool, error) {
				got, err := auditlog.Verify(context.Background(), dir, auditlog.Trust{})
				if err != nil || !got.OK || got.Torn+int64(got.NoHead) > 0 {
					return true, nil
				}
				var out bytes.Buffer
				l, err := auditlog.Open(dir, auditlog.Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
				if err != nil || strings.Contains(out.String(), "ERROR") {
					return true, nil
				}
				if diff := cmp.Diff(want, got); diff != "" {
					return false, errors.Join(fmt.Errorf("nobody says so, but (-want +got):\n%s", diff), l.Close())
				}
				return false, l.Close()
			})
		})
	}
}
