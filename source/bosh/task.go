package bosh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// task is what a director says of one of its tasks.
type task struct {
	ID     *int64 `json:"id"`
	State  string `json:"state"`
	Result string `json:"result"`
}

// startTask sends a request whose answer leads to a task, and gives the task's
// number.
func (d *Director) startTask(ctx context.Context, r request) (int64, error) {
	r.limit = maxSmall
	data, err := d.callAuthorized(ctx, r)
	if err != nil {
		return 0, err
	}
	var t task
	if err := json.Unmarshal(data, &t); err != nil {
		return 0, misread{fmt.Errorf("read the task of %s: %w", r.url, err)}
	}
	if t.ID == nil {
		return 0, misread{fmt.Errorf("read the task of %s: it has no id", r.url)}
	}
	return *t.ID, nil
}

// taskResult waits until a task is done and gives its result.
func (d *Director) taskResult(ctx context.Context, id int64) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.options.TaskTimeout, &unended{id, d.options.TaskTimeout})
	defer cancel()
	path := "/tasks/" + strconv.FormatInt(id, 10)
	var seen int64 // bytes of events
	for {
		data, err := d.get(ctx, path, maxSmall)
		if err != nil {
			return nil, fmt.Errorf("look at task %d: %w", id, err)
		}
		var t task
		if err := json.Unmarshal(data, &t); err != nil {
			return nil, misread{fmt.Errorf("look at task %d: %w", id, err)}
		}
		if seen, err = d.skipEvents(ctx, path, seen); err != nil {
			return nil, fmt.Errorf("look at the events of task %d: %w", id, err)
		}
		switch t.State {
		case "queued", "processing", "cancelling":
		case "done":
			return d.get(ctx, path+"/output?type=result", maxLarge)
		default:
			return nil, &taskError{id, t.State, t.Result}
		}
		if !pause(ctx, d.options.PollPause) {
			return nil, context.Cause(ctx)
		}
	}
}

// skipEvents reads the events that came since, as the director's own client
// does; nothing in them is needed. It gives how many bytes there were in all.
func (d *Director) skipEvents(ctx context.Context, path string, seen int64) (int64, error) {
	data, err := d.callAuthorized(ctx, request{
		method: http.MethodGet, url: d.url + path + "/output?type=event", limit: maxLarge,
		header:   http.Header{"Range": {fmt.Sprintf("bytes=%d-", seen)}},
		tolerate: http.StatusRequestedRangeNotSatisfiable,
	})
	return seen + int64(len(data)), err
}

// eachJSON calls do for each JSON value of those that stand in data one after
// another.
func eachJSON(data []byte, do func(json.RawMessage) error) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		switch err := decoder.Decode(&raw); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return misread{fmt.Errorf("read the result: %w", err)}
		}
		if err := do(raw); err != nil {
			return misread{fmt.Errorf("read the result: %w", err)}
		}
	}
}
