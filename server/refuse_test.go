package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// paper is a face that answers everything alike.
type paper struct{ text string }

func (p *paper) ServeHTTP(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(p.text)) }
func (p *paper) Pattern(r *http.Request) string                   { return r.Method + " " + r.URL.Path }

// Whoever may not pass is answered as the face does that they asked for.
func TestRefuse(t *testing.T) {
	s := New(Config{
		API: &paper{"api"}, UI: &paper{"ui"}, Log: slog.New(slog.DiscardHandler),
		Admit: func(*http.Request, string) (context.Context, string, error) {
			return nil, "", errors.New("not you")
		},
		RefuseUI: func(w http.ResponseWriter, r *http.Request, _ error) {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		},
	})
	for path, want := range map[string]int{"/api/v1/runs": 500, "/runs": 303, "/healthz": 200} {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
