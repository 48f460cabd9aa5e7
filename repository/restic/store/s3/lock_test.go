package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/repository/restic/store"
)

// keeper is a service that has one file, or one hidden version of it, and says of it what
// it was told to.
type keeper struct {
	mode, until, hold string
	// refuse are the answers to a request to keep it in a mode, or to remove a version.
	refuse map[string]http.HandlerFunc

	mu    sync.Mutex
	asked []string // what it was asked to change
}

// ServeHTTP implements http.Handler.
func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method
	switch {
	case r.Method == http.MethodHead:
		h := w.Header()
		for name, value := range map[string]string{"Mode": k.mode, "Retain-Until-Date": k.until, "Legal-Hold": k.hold} {
			if value != "" {
				h.Set("X-Amz-Object-Lock-"+name, value)
			}
		}
		h.Set("ETag", `"x"`)
		h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		h.Set("X-Amz-Version-Id", "v1")
		return
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<ListVersionsResult><Name>backups</Name><IsTruncated>false</IsTruncated>
<DeleteMarker><Key>p/keys/1</Key><VersionId>m</VersionId><IsLatest>true</IsLatest></DeleteMarker>
<Version><Key>p/keys/1</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><Size>1</Size></Version></ListVersionsResult>`)
		return
	case r.Method == http.MethodPut:
		b := make([]byte, 1<<10)
		n, _ := r.Body.Read(b)
		_, text, _ := strings.Cut(string(b[:n]), "<Mode>")
		what, _, _ = strings.Cut(text, "<")
		_, text, _ = strings.Cut(text, "<RetainUntilDate>")
		date, _, _ := strings.Cut(text, "<")
		k.note(what + " " + date)
	default:
		what = r.URL.Query().Get("versionId")
		k.note(what)
	}
	if refuse := k.refuse[what]; refuse != nil {
		refuse(w, r)
		return
	}
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (k *keeper) note(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, what)
}

func (k *keeper) store(t *testing.T, compliance bool) *Store {
	t.Helper()
	s, _ := answering(t, k.ServeHTTP)
	s.o.Lock = ObjectLock{Compliance: compliance, Period: 24 * time.Hour}
	return s
}

// TestWhatCannotBeFreedIsSaid: a version whose date has passed and that the service does
// not remove all the same is an error of the prune. One that is kept is none.
//
//fault:object-lock-purge the credentials may not delete versions, so that a prune frees nothing | the prune fails, and says what the credentials lack
func TestWhatCannotBeFreedIsSaid(t *testing.T) {
	past, future := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	denied := map[string]http.HandlerFunc{"v1": failing(403, "AccessDenied")}
	locked := map[string]http.HandlerFunc{"v1": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock.</Message></Error>")
	}}
	for name, c := range map[string]struct {
		k     *keeper
		fails bool
		asked []string
	}{
		"it goes":               {&keeper{mode: "COMPLIANCE", until: past}, false, []string{"v1", "m"}},
		"its date has not come": {&keeper{mode: "COMPLIANCE", until: future, refuse: denied}, false, []string{"v1"}},
		"a legal hold":          {&keeper{hold: "ON", refuse: denied}, false, []string{"v1"}},
		"it does not say until": {&keeper{refuse: locked}, false, []string{"v1"}},
		"it may not be removed": {&keeper{mode: "COMPLIANCE", until: past, refuse: denied}, true, []string{"v1"}},
		"its marker may not be": {&keeper{refuse: map[string]http.HandlerFunc{"m": failing(403, "AccessDenied")}}, true, []string{"v1", "m"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.k.store(t, true).Purge(t.Context(), "keys")
			if (err != nil) != c.fails || c.fails && (!errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "keys/1")) {
				t.Error(err)
			}
			if !slices.Equal(c.k.asked, c.asked) {
				t.Errorf("it was asked to remove %v, not %v", c.k.asked, c.asked)
			}
		})
	}
}

// TestALegalHoldIsKept: until somebody says otherwise, whatever its date.
func TestALegalHoldIsKept(t *testing.T) {
	k := &keeper{hold: "ON"}
	if until, err := k.store(t, true).Retained(t.Context(), "data/1"); err != nil || !until.Equal(store.Held) {
		t.Errorf("kept until %s, %v", until, err)
	}
}

// TestGovernanceBecomesCompliance: where that is configured, without an earlier date. What
// the service does not let be changed stays kept as it is, and longer where it must be.
func TestGovernanceBecomesCompliance(t *testing.T) {
	date := time.Now().Add(48 * time.Hour).UTC().Truncate(time.Second)
	text := func(hours int) string { return date.Add(time.Duration(hours) * time.Hour).Format(time.RFC3339) }
	no := map[string]http.HandlerFunc{"COMPLIANCE": failing(400, "InvalidRequest")}
	for name, c := range map[string]struct {
		k          *keeper
		compliance bool
		asked      []string
	}{
		"kept for longer":               {&keeper{mode: "GOVERNANCE", until: text(5)}, true, []string{"COMPLIANCE " + text(5)}},
		"kept for shorter":              {&keeper{mode: "GOVERNANCE", until: text(-5)}, true, []string{"COMPLIANCE " + text(0)}},
		"it is compliance":              {&keeper{mode: "COMPLIANCE", until: text(5)}, true, nil},
		"compliance, kept for shorter":  {&keeper{mode: "COMPLIANCE", until: text(-5)}, false, []string{"COMPLIANCE " + text(0)}},
		"not kept yet":                  {&keeper{}, true, []string{"COMPLIANCE " + text(0)}},
		"governance is configured":      {&keeper{mode: "GOVERNANCE", until: text(5)}, false, nil},
		"refused":                       {&keeper{mode: "GOVERNANCE", until: text(5), refuse: no}, true, []string{"COMPLIANCE " + text(5)}},
		"refused, and kept for shorter": {&keeper{mode: "GOVERNANCE", until: text(-5), refuse: no}, true, []string{"COMPLIANCE " + text(0), "GOVERNANCE " + text(0)}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.k.store(t, c.compliance).Retain(t.Context(), "data/1", date); err != nil {
				t.Error(err)
			}
			if !slices.Equal(c.k.asked, c.asked) {
				t.Errorf("it was asked to keep it as %v, not %v", c.k.asked, c.asked)
			}
		})
	}
}
