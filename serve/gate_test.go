package serve

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"lockstep/access"
	"lockstep/config"
	journal "lockstep/journal/sqlite"
	"lockstep/state/sqlite"
)

// A session's cookie goes over TLS alone, wherever the TLS ends.
func TestGate_CookiesOfWhatBrowsersReachOverTLS(t *testing.T) {
	for name, tc := range map[string]struct {
		server config.Server
		secure bool
	}{
		"on this host":           {config.Server{}, false},
		"with TLS":               {config.Server{TLS: &config.TLS{}}, true},
		"behind a proxy with it": {config.Server{PublicURL: "https://backup.example.com"}, true},
		"behind one without":     {config.Server{PublicURL: "http://backup.example.com"}, false},
	} {
		dir := t.TempDir()
		j, err := journal.Open(t.Context(), journal.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		store, err := sqlite.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		s := Serving{Options: Options{Logger: slog.New(slog.DiscardHandler)}}
		g, err := openGate(t.Context(), s, &config.Config{StateDir: dir, Server: tc.server}, gateParts{store, j})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := g.sessions.Begin(w, httptest.NewRequest("POST", "/login", nil), access.Local("ann")); err != nil {
			t.Fatal(err)
		}
		if c := w.Result().Cookies(); len(c) != 1 || c[0].Secure != tc.secure {
			t.Errorf("%s: %v", name, c)
		}
		g.close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
