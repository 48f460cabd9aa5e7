package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"lockstep"
	"lockstep/api"
)

const (
	// silence is how long the server may say nothing: it says something every
	// 15 s.
	silence = time.Minute
	// giveUpAfter is for how long a connection that is lost is made again.
	giveUpAfter = time.Hour
)

// Events yields a run's events, those to come included, until it has ended.
// When the connection is lost it is made again, for an hour, and nothing is
// missed or told twice; only progress may be dropped.
func (c *Client) Events(ctx context.Context, id lockstep.RunID, after uint64) iter.Seq2[lockstep.Event, error] {
	return func(yield func(lockstep.Event, error) bool) {
		w := &watch{client: c, id: id, after: after, follow: true, take: yield, heard: time.Now()}
		var b backoff
		for {
			before := w.after
			err := w.once(ctx)
			switch {
			case err == nil || w.done:
				return
			case ctx.Err() != nil:
				yield(lockstep.Event{}, ctx.Err())
				return
			case lockstep.KindOf(err) != lockstep.KindUnavailable || !c.reached.Load():
				yield(lockstep.Event{}, err)
				return
			case time.Since(w.heard) >= giveUpAfter:
				yield(lockstep.Event{}, c.gone(id, err))
				return
			}
			if w.after > before {
				b = backoff{}
			}
			if !c.pause(ctx, err, b.next()) {
				yield(lockstep.Event{}, ctx.Err())
				return
			}
		}
	}
}

// gone is the error of a server that does not come back.
func (c *Client) gone(id lockstep.RunID, err error) error {
	var last *lockstep.Error
	if errors.As(err, &last) && last.Err != nil {
		err = last.Err // its hint is that it may be back soon
	}
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: fmt.Sprintf("watch run %s at %s", id, c.base), Err: fmt.Errorf("no answer for %s: %w", giveUpAfter, err),
		Hint: fmt.Sprintf("the run was not canceled; when the server is back: `lockstep --server %s runs watch %s`", c.base, id),
	}
}

// stored are the events that there are.
func (c *Client) stored(ctx context.Context, id lockstep.RunID) ([]lockstep.Event, error) {
	var events []lockstep.Event
	w := &watch{client: c, id: id, take: func(e lockstep.Event, _ error) bool {
		events = append(events, e)
		return true
	}}
	var b backoff
	for deadline := time.Now().Add(patience); ; {
		err := w.once(ctx)
		if err == nil || ctx.Err() != nil || !c.reached.Load() || lockstep.KindOf(err) != lockstep.KindUnavailable {
			return events, err
		}
		d := b.next()
		if time.Now().Add(d).After(deadline) || !c.pause(ctx, err, d) {
			return nil, err
		}
	}
}

// watch reads the events of one run, over one connection after another.
type watch struct {
	client *Client
	id     lockstep.RunID
	after  uint64 // the last that was taken
	follow bool
	take   func(lockstep.Event, error) bool
	done   bool // take has had enough
	// heard is when the server last said anything.
	heard time.Time
}

// once reads until the stream ends. The error says why it ended early.
func (w *watch) once(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	alive := time.AfterFunc(silence, stop)
	defer alive.Stop()
	q := get("runs", string(w.id), "events")
	q.query.Set("after", strconv.FormatUint(w.after, 10))
	q.query.Set("follow", strconv.FormatBool(w.follow))
	resp, err := w.client.send(ctx, q)
	if err != nil {
		return w.why(ctx, q, err)
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 16<<10)
	for {
		name, data, err := readFrame(in, func() {
			alive.Reset(silence)
			w.heard = time.Now()
		})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.why(ctx, q, err)
		}
		if err := w.frame(name, data); err != nil || w.done {
			return err
		}
	}
}

// why is the error of a stream that ended early: silence counts as no answer.
func (w *watch) why(ctx context.Context, q question, err error) error {
	var e *lockstep.Error
	if errors.As(err, &e) {
		return err
	}
	if ctx.Err() != nil { // the caller's end is told by the caller
		err = fmt.Errorf("it said nothing for %s", silence)
	}
	return w.client.noAnswer(context.WithoutCancel(ctx), q, err)
}

func (w *watch) frame(name string, data []byte) error {
	if name == "problem" {
		var p api.Problem
		if err := json.Unmarshal(data, &p); err != nil {
			return fmt.Errorf("read why the stream ended: %w", err)
		}
		return errorOf(p)
	}
	var e lockstep.Event
	if err := json.Unmarshal(data, &e); err != nil {
		if !errors.Is(err, lockstep.ErrUnknownEvent) {
			return err
		}
		w.after = max(w.after, e.Seq) // readers pass over what they do not know
		return nil
	}
	if e.Seq > 0 {
		w.after = e.Seq
	}
	w.done = !w.take(e, nil)
	return nil
}

// maxFrame bounds one event, in bytes.
const maxFrame = 64 << 20

// readFrame reads one server-sent event and calls alive for every line. At the
// end of a stream that was written to its end the error is io.EOF.
func readFrame(in *bufio.Reader, alive func()) (name string, data []byte, err error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return "", nil, err
		}
		alive()
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = string(value)
		case "data":
			data = value
		case "":
			if len(line) == 0 && data != nil {
				return name, data, nil
			}
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(line) < maxFrame:
			continue
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		}
		return nil, err
	}
}
