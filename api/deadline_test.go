package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep/access"
)

// limited is an answer that remembers until when its connection may be read.
type limited struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (l *limited) SetReadDeadline(t time.Time) error {
	l.until = t
	return nil
}

// TestNoAnswerIsCutShort: no route leaves a deadline on the connection. net/http reads
// on while a request is answered, to notice that whoever asked has gone; a deadline
// that passes meanwhile looks the same.
func TestNoAnswerIsCutShort(t *testing.T) {
	s := newShop(t)
	asked := 0
	for path, item := range s.api.huma.OpenAPI().Paths {
		for method, op := range map[string]*huma.Operation{http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodPatch: item.Patch, http.MethodDelete: item.Delete} {
			if op == nil || op.RequestBody == nil {
				continue
			}
			asked++
			r := httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(path), strings.NewReader(`{}`))
			r.Header.Set("Content-Type", "application/json")
			w := &limited{ResponseRecorder: httptest.NewRecorder()}
			s.api.ServeHTTP(w, r.WithContext(access.WithPrincipal(r.Context(), s.who)))
			if !w.until.IsZero() {
				t.Errorf("%s %s may be read for %s more", method, path, time.Until(w.until).Round(time.Second))
			}
		}
	}
	if asked < 5 {
		t.Errorf("only %d routes take a body: nothing was tested", asked)
	}
}
