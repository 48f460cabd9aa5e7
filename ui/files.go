package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/browse"
)

// shownRows bounds the rows of a list of files: more than that nobody reads in a page.
const shownRows = 1000

// FolderPage is a folder of an artifact, or one file.
type FolderPage struct {
	Backup   lockstep.Backup
	Artifact lockstep.Artifact
	Path     string
	// Above are the folders that lead there, the artifact's root first.
	Above []FileLink
	At    lockstep.Entry
	Rows  []FileRow
	// More is how many rows are not shown.
	More int
}

// FileLink is a folder that can be gone to.
type FileLink struct{ Name, Address string }

// FileRow is one file, folder or link.
type FileRow struct {
	browse.Child
	// Address is where a folder is shown, or "".
	Address string
}

// Modified is when it was, if that means anything.
func (r FileRow) Modified() time.Time { return modified(r.Entry) }

func modified(e lockstep.Entry) time.Time {
	if e.MTime == 0 {
		return time.Time{}
	}
	return time.Unix(0, e.MTime).UTC()
}

// Dir reports whether it is a folder.
func (p *FolderPage) Dir() bool { return p.At.Type == lockstep.EntryDir }

// Modified is when the file that the page shows was.
func (p *FolderPage) Modified() time.Time { return modified(p.At) }

// Place is what commands call it.
func (p *FolderPage) Place() string {
	return browse.Place{Artifact: p.Artifact.Name, Path: p.Path}.String()
}

// fileAddress is the page of a path, which may be any bytes, in an artifact.
func fileAddress(id lockstep.BackupID, artifact, at string) string {
	address := "/backups/" + url.PathEscape(string(id)) + "/files/" + url.PathEscape(artifact)
	if at != "" {
		address += "?path=" + url.QueryEscape(at)
	}
	return address
}

// files shows a folder of an artifact.
func (u *Pages) files(w http.ResponseWriter, r *http.Request) {
	b, art, ok := u.artifactOf(w, r)
	if !ok {
		return
	}
	page, err := u.folder(r.Context(), b, art, strings.Trim(r.URL.Query().Get("path"), "/"))
	switch {
	case err != nil:
		u.fail(w, r, err)
	case page == nil:
		u.nothingHere(w, r)
	default:
		u.show(w, r, http.StatusOK, "files", Page{Title: legible([]byte(page.Place())), Section: "backups", Body: page})
	}
}

// folder reads a folder of an artifact; nil is that there is nothing at that path.
func (u *Pages) folder(ctx context.Context, b lockstep.Backup, art lockstep.Artifact, at string) (*FolderPage, error) {
	entry, children, err := browse.Folder(u.cfg.Service.Entries(ctx, b.ID, art.Name), at)
	if err != nil || entry == nil && at != "" {
		return nil, err
	}
	page := &FolderPage{Backup: b, Artifact: art, Path: at, At: lockstep.Entry{Type: lockstep.EntryDir}, More: max(0, len(children)-shownRows)}
	if entry != nil {
		page.At = *entry
	}
	for _, c := range children[:min(len(children), shownRows)] {
		row := FileRow{Child: c}
		if c.Dir() {
			row.Address = fileAddress(b.ID, art.Name, c.Entry.Path)
		}
		page.Rows = append(page.Rows, row)
	}
	page.Above = above(b.ID, art.Name, at)
	return page, nil
}

// above are the folders from an artifact's root down to a path.
func above(id lockstep.BackupID, artifact, at string) []FileLink {
	links := []FileLink{}
	for ; at != "" && at != "."; at = path.Dir(at) {
		links = append(links, FileLink{path.Base(at), fileAddress(id, artifact, at)})
	}
	links = append(links, FileLink{artifact, fileAddress(id, artifact, "")})
	slices.Reverse(links)
	return links
}

// ChangesPage is what changed between two backups.
type ChangesPage struct {
	Before, After lockstep.Backup
	// Others are what the later one can be compared with.
	Others  []lockstep.Backup
	Changes []browse.Change
	Summary browse.Summary
	Same    bool
	// More is how many changes are not shown.
	More int
}

// changes shows what changed between another backup and this one.
func (u *Pages) changes(w http.ResponseWriter, r *http.Request) {
	page, err := u.compared(r.Context(), lockstep.BackupID(r.PathValue("id")), lockstep.BackupID(r.URL.Query().Get("since")))
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.show(w, r, http.StatusOK, "changes", Page{Title: "Changes in " + string(page.After.ID), Section: "backups", Body: page})
}

// compared compares a backup with another of its deployment, which is the one before
// it where none is named.
func (u *Pages) compared(ctx context.Context, id, since lockstep.BackupID) (*ChangesPage, error) {
	p := &ChangesPage{}
	var err error
	if p.After, err = u.cfg.Service.Backup(ctx, "", id); err != nil {
		return nil, err
	}
	if err := u.choices(ctx, p, since); err != nil || p.Before.ID == "" {
		return p, err
	}
	c := browse.Comparison{From: u.cfg.Service, A: p.Before, B: p.After}
	for change, err := range c.Changes(ctx) {
		if err != nil {
			return nil, err
		}
		p.Summary.Add(change)
		if len(p.Changes) < shownRows {
			p.Changes = append(p.Changes, change)
		} else {
			p.More++
		}
	}
	p.Same = p.Summary == browse.Summary{}
	return p, nil
}

// choices finds what a backup can be compared with, and with what it is.
func (u *Pages) choices(ctx context.Context, p *ChangesPage, since lockstep.BackupID) error {
	all, err := u.cfg.Service.Backups(ctx, p.After.Deployment)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.ID == p.After.ID || b.Key != p.After.Key {
			continue
		}
		p.Others = append(p.Others, b)
		before := since == "" && p.Before.ID == "" && b.StartedAt.Before(p.After.StartedAt)
		if b.ID == since || before {
			p.Before = b
		}
	}
	if since != "" && p.Before.ID == "" {
		return &lockstep.Error{Kind: lockstep.KindNotFound, Op: "compare with backup " + string(since), Err: errors.New("it is not a backup of this deployment")}
	}
	return nil
}
