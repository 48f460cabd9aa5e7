package ui

import (
	"net/http"
	"strings"
	"testing"

	"lockstep"
)

// TestFilesOfABackup: folders are walked, names of any bytes among them, and nothing
// that is in a name is taken for markup.
func TestFilesOfABackup(t *testing.T) {
	f, now := fullWorld()
	f.entries = map[string][]lockstep.Entry{f.backup[0].Artifacts[0].Name: {
		{Path: ".", Type: lockstep.EntryDir},
		{Path: "conf", Type: lockstep.EntryDir, Mode: 0o755},
		{Path: "conf/<b>&\xff", Type: lockstep.EntryFile, Size: 2048, MTime: begin.UnixNano()},
		{Path: "current", Type: lockstep.EntrySymlink, Mode: 0o777, Link: "conf\n"},
		{Path: "sub\xfe", Type: lockstep.EntryDir},
		{Path: "sub\xfe/x", Type: lockstep.EntryFile, Size: 1},
	}}
	h := served(f, now)
	at := backupPath(0) + "/files/" + f.backup[0].Artifacts[0].Name
	for path, want := range map[string][]string{
		at:                   {"conf/", "sub\ufffd/", "current", "→ conf\n", "2.0 KiB", "?path=sub%FE"},
		at + "?path=conf":    {"&lt;b&gt;&amp;\ufffd", "2.0 KiB", "0000"},
		at + "?path=sub%FE":  {"<th scope=\"row\" class=\"mono wide\">x"},
		at + "?path=current": {"Leads to"},
	} {
		w := ask(h, http.MethodGet, path, nil)
		for _, s := range want {
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: %d, without %q:\n%s", path, w.Code, s, w.Body)
			}
		}
		if strings.Contains(w.Body.String(), "<b>&") {
			t.Errorf("%s: a name is markup", path)
		}
	}
	for _, path := range []string{at + "?path=none", backupPath(0) + "/files/none"} {
		if w := ask(h, http.MethodGet, path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestWhatChanged: a backup is compared with the one before it, or with the one that
// is named.
func TestWhatChanged(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	if w := ask(h, http.MethodGet, backupPath(0)+"/changes", nil); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Every file has the content") {
		t.Errorf("the same lists: %d\n%s", w.Code, w.Body)
	}
	name := f.backup[0].Artifacts[0].Name
	f.backup[0].Artifacts[0].Digest = "sha256:another"
	f.entriesOf = map[lockstep.BackupID]map[string][]lockstep.Entry{
		f.backup[0].ID: {name: {{Path: "a", Type: lockstep.EntryFile, Size: 3 << 10}, {Path: "new", Type: lockstep.EntryFile, Size: 1}}},
		f.backup[1].ID: {name: {{Path: "a", Type: lockstep.EntryFile, Size: 5 << 10}}},
	}
	for _, path := range []string{"/changes", "/changes?since=" + string(f.backup[1].ID)} {
		w := ask(h, http.MethodGet, backupPath(0)+path, nil)
		for _, s := range []string{name + "/a", "3.0 KiB", "5.0 KiB", name + "/new", "added", "changed", "selected>" + string(f.backup[1].ID)} {
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), s) {
				t.Errorf("%s: %d, without %q:\n%s", path, w.Code, s, w.Body)
			}
		}
	}
	if w := ask(h, http.MethodGet, backupPath(0)+"/changes?since=none", nil); w.Code != http.StatusNotFound {
		t.Errorf("since none: %d", w.Code)
	}
}
