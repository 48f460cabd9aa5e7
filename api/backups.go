package api

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lockstep"
)

func (a *API) registerBackups() {
	backups := []string{"backups"}
	route(a, huma.Operation{
		OperationID: "list-backups", Method: http.MethodGet, Path: "/backups", Tags: backups, Summary: "Backups, newest first",
	}, a.backups)
	route(a, huma.Operation{
		OperationID: "show-backup", Method: http.MethodGet, Path: "/backups/{backup}", Tags: backups, Summary: "A backup's manifest",
	}, a.backup)
	route(a, huma.Operation{
		OperationID: "verify-backup", Method: http.MethodPost, Path: "/backups/{backup}/verify", Tags: backups,
		Summary:     "Read a backup again from the repository, every byte, and compare",
		Description: "Answered when everything was read, which can take hours; it ends with the connection.",
	}, a.verify)
	route(a, huma.Operation{
		OperationID: "forget-backup", Method: http.MethodDelete, Path: "/backups/{backup}", Tags: backups,
		Summary: "Delete a backup, for good", DefaultStatus: http.StatusNoContent,
	}, a.forget)
	route(a, huma.Operation{
		OperationID: "read-artifact", Method: http.MethodGet, Path: "/backups/{backup}/artifacts/{artifact}", Tags: backups,
		Summary:   "An artifact, as a tar stream",
		Responses: map[string]*huma.Response{"200": {Description: "The tar.", Content: map[string]*huma.MediaType{"application/x-tar": {}}}},
	}, a.artifact)
	route(a, huma.Operation{
		OperationID: "list-entries", Method: http.MethodGet, Path: "/backups/{backup}/artifacts/{artifact}/entries", Tags: backups,
		Summary:     "The files, folders and links of an artifact, one JSON object a line",
		Description: "As they were recorded when the artifact was proven, in the order of the bytes of their paths. A path that is not UTF-8 is an object with base64 in it. An answer that breaks off is not the whole list.",
		Responses:   map[string]*huma.Response{"200": {Description: "The entries.", Content: map[string]*huma.MediaType{linesType: {}}}},
	}, a.entries)
}

// linesType is the media type of JSON objects, one a line.
const linesType = "application/x-ndjson"

type backupsInput struct {
	Deployment string            `query:"deployment" maxLength:"128"`
	Limit      int               `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Cursor     lockstep.BackupID `query:"cursor" maxLength:"256" doc:"Next of the page before."`
}

func (a *API) backups(ctx context.Context, in *backupsInput) (*body[Page[lockstep.Backup]], error) {
	all, err := a.cfg.Service.Backups(ctx, in.Deployment)
	if err != nil {
		return nil, err
	}
	if in.Cursor != "" {
		// One that was forgotten meanwhile ends the list early; the next list
		// is whole again.
		i := slices.IndexFunc(all, func(b lockstep.Backup) bool { return b.ID == in.Cursor })
		all = all[min(len(all), max(i, -1)+1):]
		if i < 0 {
			all = nil
		}
	}
	out := Page[lockstep.Backup]{Items: list(all)}
	if len(all) > in.Limit {
		out.Items = all[:in.Limit]
		out.Next = string(all[in.Limit-1].ID)
	}
	return &body[Page[lockstep.Backup]]{out}, nil
}

// BackupPath is the backup in a path.
type BackupPath struct {
	Backup lockstep.BackupID `path:"backup" maxLength:"256"`
}

type showBackupInput struct {
	BackupPath
	Deployment string `query:"deployment" maxLength:"128" doc:"The backup latest is the newest verified one of this deployment."`
}

func (a *API) backup(ctx context.Context, in *showBackupInput) (*body[lockstep.Backup], error) {
	b, err := a.cfg.Service.Backup(ctx, in.Deployment, in.Backup)
	return &body[lockstep.Backup]{b}, err
}

func (a *API) verify(ctx context.Context, in *BackupPath) (*body[lockstep.VerifyReport], error) {
	rep, err := a.cfg.Service.Verify(ctx, in.Backup)
	return &body[lockstep.VerifyReport]{rep}, err
}

func (a *API) forget(ctx context.Context, in *BackupPath) (*nothing, error) {
	return nil, a.cfg.Service.Forget(ctx, in.Backup)
}

type artifactInput struct {
	BackupPath
	Artifact string `path:"artifact" maxLength:"512"`
}

// artifact streams a tar. An error in the middle breaks the connection off:
// whoever reads must not take half a tar for a whole one.
func (a *API) artifact(ctx context.Context, in *artifactInput) (*huma.StreamResponse, error) {
	tar, err := a.cfg.Service.OpenArtifact(ctx, in.Backup, in.Artifact)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer tar.Close()
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", "application/x-tar")
		w.WriteHeader(http.StatusOK)
		if _, err := io.Copy(w, tar); err != nil {
			panic(http.ErrAbortHandler)
		}
	}}, nil
}

// entries streams an entry list. An error before the first entry is the answer; one
// in the middle breaks the connection off.
func (a *API) entries(ctx context.Context, in *artifactInput) (*huma.StreamResponse, error) {
	next, stop := iter.Pull2(a.cfg.Service.Entries(ctx, in.Backup, in.Artifact))
	e, err, more := next()
	if err != nil {
		stop()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer stop()
		_, w := humago.Unwrap(ctx)
		w.Header().Set("Content-Type", linesType)
		w.WriteHeader(http.StatusOK)
		out := bufio.NewWriterSize(w, 64<<10)
		lines := json.NewEncoder(out)
		for ; more; e, err, more = next() {
			if err != nil || lines.Encode(e) != nil {
				panic(http.ErrAbortHandler)
			}
		}
		if out.Flush() != nil {
			panic(http.ErrAbortHandler)
		}
	}}, nil
}
