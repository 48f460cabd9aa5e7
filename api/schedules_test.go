package api

import (
	"fmt"
	"net/http"
	"testing"
)

// TestSetSchedule_OverWhatWasSeen: who sends the tag of what they saw undoes nothing
// that somebody else has changed meanwhile; a pause changes no definition.
func TestSetSchedule_OverWhatWasSeen(t *testing.T) {
	s := newShop(t)
	set := func(hour int, header ...string) (int, string) {
		t.Helper()
		resp := s.ask("PUT", "/schedules/night", fmt.Sprintf(`{"deployment":"shop","cron":"0 %d * * *"}`, hour), header...)
		return resp.StatusCode, resp.Header.Get("ETag")
	}
	status, first := set(1, "If-None-Match", "*")
	if status != http.StatusOK || first == "" {
		t.Fatalf("the first: %d, tag %q", status, first)
	}
	if status, _ := set(2, "If-None-Match", "*"); status != http.StatusConflict {
		t.Errorf("where there is one: %d", status)
	}
	if resp := s.ask("POST", "/schedules/night/pause", ""); resp.Header.Get("ETag") != first {
		t.Errorf("paused, it is %q, and was %q", resp.Header.Get("ETag"), first)
	}
	status, second := set(3, "If-Match", first)
	if status != http.StatusOK || second == first {
		t.Errorf("over what was seen: %d, tag %q", status, second)
	}
	if status, _ := set(4, "If-Match", first); status != http.StatusConflict {
		t.Errorf("over what is gone: %d", status)
	}
	if tag := s.ask("GET", "/schedules/night", "").Header.Get("ETag"); tag != second {
		t.Errorf("it is %q, want %q", tag, second)
	}
	if status, tag := set(5); status != http.StatusOK || tag == second {
		t.Errorf("whatever there is: %d, tag %q", status, tag)
	}
}
