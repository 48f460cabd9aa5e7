package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"lockstep"
)

// stream writes server-sent events. What is written within flushAfter is sent
// together; after beatEvery without anything a comment keeps the connection
// alive, and finds out whether anybody is there.
type stream struct {
	gone context.CancelFunc

	mu    sync.Mutex
	w     http.ResponseWriter
	begun bool // the status is sent
	dirty bool // something waits to be sent
	over  bool // nothing may be written any more
	beats *time.Timer
}

const (
	flushAfter = 5 * time.Millisecond
	beatEvery  = 15 * time.Second
	// beginAfter is when an answer begins even though there is no event yet.
	beginAfter = 250 * time.Millisecond
)

var errGone = errors.New("nobody reads the stream any more")

// newStream makes a stream; gone is called when its reader has gone.
func newStream(w http.ResponseWriter, gone context.CancelFunc) *stream {
	return &stream{w: w, gone: gone}
}

// beat begins to keep the connection alive.
func (s *stream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats = time.AfterFunc(beginAfter, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.put([]byte(":\n\n")) == nil {
			s.flush()
			s.beats.Reset(beatEvery)
		}
	})
}

// event writes one event.
func (s *stream) event(frames *runFrames, e lockstep.Event) error {
	frame, err := frames.of(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.put(frame); err != nil {
		return err
	}
	if s.beats != nil {
		s.beats.Reset(beatEvery)
	}
	if !s.dirty {
		s.dirty = true
		time.AfterFunc(flushAfter, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.flush()
		})
	}
	return nil
}

// fail ends the stream with an error: as the answer, if nothing was sent yet.
// A reader that is still there when its request is canceled learns that it is
// the orchestrator that goes.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, context.Canceled) {
		err = &lockstep.Error{Kind: lockstep.KindUnavailable, Err: errors.New("the orchestrator stops"), Hint: "watch again when it is back"}
	}
	switch {
	case s.over:
	case s.begun:
		data, err := json.Marshal(ProblemOf(err))
		if err == nil {
			_ = s.put(frame("problem", "", data))
		}
	default:
		s.over = true
		WriteProblem(s.w, err)
	}
}

// close ends the writing: the answer ends with it.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.begin() // a stream of no events is one all the same
	}
	s.over = true
	if s.beats != nil {
		s.beats.Stop()
	}
}

// The rest is called with mu held.

func (s *stream) begin() {
	if s.begun {
		return
	}
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies pass it on at once
	s.w.WriteHeader(http.StatusOK)
}

func (s *stream) put(frame []byte) error {
	if s.over {
		return errGone
	}
	s.begin()
	if _, err := s.w.Write(frame); err != nil {
		s.lost()
		return errGone
	}
	return nil
}

func (s *stream) flush() {
	if s.over {
		return
	}
	s.dirty = false
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		s.lost()
	}
}

func (s *stream) lost() {
	s.over = true
	s.gone()
}

// frame is one server-sent event. JSON has no line breaks of its own.
func frame(name, id string, data []byte) []byte {
	b := make([]byte, 0, len(name)+len(id)+len(data)+24)
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), name...), '\n')
	return append(append(append(b, "data: "...), data...), "\n\n"...)
}

// frames keep the written form of the events of runs that are being watched,
// so that an event is written once, however many watch.
type frames struct {
	mu   sync.Mutex
	runs map[lockstep.RunID]*runFrames
}

type runFrames struct {
	all      *frames
	run      lockstep.RunID
	watchers int // guarded by all.mu

	mu     sync.Mutex
	frames map[uint64][]byte
}

func newFrames() *frames { return &frames{runs: map[lockstep.RunID]*runFrames{}} }

// of are the frames of a run, until done is called.
func (f *frames) of(run lockstep.RunID) *runFrames {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[run]
	if r == nil {
		r = &runFrames{all: f, run: run, frames: map[uint64][]byte{}}
		f.runs[run] = r
	}
	r.watchers++
	return r
}

func (r *runFrames) done() {
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	if r.watchers--; r.watchers == 0 {
		delete(r.all.runs, r.run)
	}
}

// of is the frame of an event. Progress is not kept: it has no number.
func (r *runFrames) of(e lockstep.Event) ([]byte, error) {
	if e.Seq == 0 {
		data, err := json.Marshal(e)
		return frame(e.Data.EventType(), "", data), err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if f, ok := r.frames[e.Seq]; ok {
		return f, nil
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	f := frame(e.Data.EventType(), strconv.FormatUint(e.Seq, 10), data)
	r.frames[e.Seq] = f
	return f, nil
}
