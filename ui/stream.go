package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"lockstep"
)

const (
	// heartbeat keeps a silent stream open through proxies.
	heartbeat = 15 * time.Second
	// streamLife bounds one stream; the page opens the next one, and is asked
	// anew who it is.
	streamLife = 10 * time.Minute
	// writePatience is how long a reader may take for one patch.
	writePatience = 20 * time.Second
)

// stream sends the marks of a run's picture as they change, as server-sent
// events numbered like the run's own: `patch` with a Patch, and `end` after the
// last one. A reader that was cut off goes on with Last-Event-ID.
func (u *Pages) stream(w http.ResponseWriter, r *http.Request) {
	id := lockstep.RunID(r.PathValue("id"))
	if _, err := u.cfg.Service.Run(r.Context(), id); err != nil {
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	feed, leave := u.feeds.watch(r.Context(), id)
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	s := sender{w: w, control: http.NewResponseController(w)}
	if s.send("retry: 2000\n\n") != nil {
		return
	}
	life, beat := time.NewTimer(streamLife), time.NewTicker(heartbeat)
	defer life.Stop()
	defer beat.Stop()
	at := place{seq: resumeAt(r)}
	for {
		patch, next, seq, done, changed := feed.since(at, u.cfg.Now())
		if patch != nil && s.event("patch", seq, patch) != nil {
			return
		}
		at = next
		if done {
			_ = s.event("end", seq, struct{}{})
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			if s.send(": still here\n\n") != nil {
				return
			}
		case <-life.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// resumeAt is the number of the last event that the reader knows of: from its
// reconnection, else from the page that it has.
func resumeAt(r *http.Request) uint64 {
	for _, text := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")} {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// sender writes server-sent events to one reader, who is given up on when it
// does not read.
type sender struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s sender) send(text string) error {
	// Not every ResponseWriter has deadlines; those of the server do.
	_ = s.control.SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := fmt.Fprint(s.w, text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s sender) event(name string, seq uint64, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.send(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", name, seq, data))
}
