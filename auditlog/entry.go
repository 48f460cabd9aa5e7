package auditlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The results of what an entry tells of.
const (
	Allowed = "allowed" // written before the effect
	Denied  = "denied"
	Failed  = "failed" // it was allowed and did not work
	Done    = "done"   // a fact that is told afterwards
)

// Entry is one thing that somebody did, or was kept from doing. No field ever
// holds a secret.
type Entry struct {
	// Time is set by the log if it is zero.
	Time time.Time `json:"time"`
	// By is who, as KIND:NAME; Token is the id of the API token used, or "".
	By    string `json:"by"`
	Token string `json:"token,omitempty"`
	// From is the address that the request came from, or "".
	From string `json:"from,omitempty"`
	// Action is what, as a permission ("runs:restore") or an event of the
	// access itself ("session:begin").
	Action string `json:"action"`
	Result string `json:"result"`
	// Deployment is the one that it concerns, or "" for the whole server.
	Deployment string `json:"deployment,omitempty"`
	// Object is the run, backup, token, approval or schedule that it concerns.
	Object string `json:"object,omitempty"`
	// Detail is anything else that a reader needs to know.
	Detail map[string]string `json:"detail,omitempty"`
}

// Recorder writes entries. It may be called concurrently. An entry is durable
// when Record returns nil; whatever has an effect is not done when it fails.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

// Record is an entry in its place in the chain.
type Record struct {
	// N counts from 1 without a gap.
	N int64 `json:"n"`
	// Prev is the SHA-256 of the line before, as hex; zeros for the first.
	Prev string `json:"prev"`
	Entry
}

// hash is that of a line, without its newline.
type hash [sha256.Size]byte

func (h hash) String() string { return hex.EncodeToString(h[:]) }

const (
	// maxLine is more than any line that this package writes.
	maxLine = 64 << 10
	// maxValue and maxWord are how much of a detail, and of any other field,
	// is kept.
	maxValue, maxWord, maxDetails = 1024, 256, 24
)

// clipped is the entry with every field at a length that fits.
func clipped(e Entry) Entry {
	for _, field := range []*string{&e.By, &e.Token, &e.From, &e.Action, &e.Result, &e.Deployment, &e.Object} {
		*field = clip(*field, maxWord)
	}
	detail := make(map[string]string, min(len(e.Detail), maxDetails))
	for key, value := range e.Detail {
		if len(detail) < maxDetails {
			detail[clip(key, maxWord)] = clip(value, maxValue)
		}
	}
	e.Detail = detail
	return e
}

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	cut := most - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// line is a record as it is written, without its newline.
func (r Record) line() ([]byte, error) {
	b, err := json.Marshal(r)
	if err == nil && len(b) >= maxLine {
		r.Detail = map[string]string{"detail": "left out: too long"}
		b, err = json.Marshal(r)
	}
	return b, err
}

// readRecord reads a line. Anything but what line wrote is an error.
func readRecord(line []byte) (Record, error) {
	if len(line) >= maxLine {
		return Record{}, fmt.Errorf("a line of %d bytes", len(line))
	}
	var r Record
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Record{}, err
	}
	if d.More() || r.N < 1 || len(r.Prev) != 2*sha256.Size {
		return Record{}, errors.New("no record")
	}
	return r, nil
}
