package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lockstep"
	"lockstep/access"
)

// Problem is an error as HTTP carries it: RFC 9457, with what a
// lockstep.Error has beside its text.
type Problem struct {
	Type   string `json:"type" doc:"A URI that names the kind of problem."`
	Title  string `json:"title" doc:"The status in words."`
	Status int    `json:"status"`
	Detail string `json:"detail" doc:"What happened to what, and why."`
	What   string `json:"what,omitempty" doc:"What failed: what was being done, to what."`
	Why    string `json:"why,omitempty" doc:"Its cause, in few words."`
	Hint   string `json:"hint,omitempty" doc:"What to type or to look at next."`
	Kind   string `json:"kind,omitempty" doc:"usage, invalid, not_found, conflict, held, refused, unauthenticated, forbidden, unavailable; nothing for a defect or an environment that failed."`

	after time.Duration // when to ask again, if that is known
}

// contentType is what problems are sent as.
const contentType = "application/problem+json"

// Error is what happened, without the hint.
func (p *Problem) Error() string { return p.Detail }

// GetStatus and ContentType make it an error that huma can send.
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return contentType }

// GetHeaders are those that the status asks for.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(max(2, int(math.Ceil(p.after.Seconds())))))
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="lockstep"`)
	}
	return h
}

// statuses are how kinds of errors are answered.
var statuses = map[lockstep.Kind]int{
	lockstep.KindInternal:        http.StatusInternalServerError,
	lockstep.KindUsage:           http.StatusBadRequest,
	lockstep.KindInvalid:         http.StatusUnprocessableEntity,
	lockstep.KindNotFound:        http.StatusNotFound,
	lockstep.KindConflict:        http.StatusConflict,
	lockstep.KindHeld:            http.StatusConflict,
	lockstep.KindRefused:         http.StatusConflict,
	lockstep.KindRetained:        http.StatusConflict,
	lockstep.KindUnauthenticated: http.StatusUnauthorized,
	lockstep.KindForbidden:       http.StatusForbidden,
	lockstep.KindUnavailable:     http.StatusServiceUnavailable,
}

// ProblemOf is an error as it is answered.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var busy *access.Busy
	if errors.As(err, &busy) {
		p := telling(http.StatusTooManyRequests, lockstep.KindUnavailable, lockstep.MessageOf(err), err.Error())
		p.after = busy.After
		return p
	}
	switch {
	case lockstep.KindOf(err) != lockstep.KindInternal:
	case errors.Is(err, context.DeadlineExceeded):
		err = &lockstep.Error{Kind: lockstep.KindUnavailable, Err: err}
	case errors.Is(err, context.Canceled): // who asked is gone, or the server stops under the request
		err = &lockstep.Error{Kind: lockstep.KindUnavailable, Err: err, Hint: "ask again in a moment, with the same Idempotency-Key where there was one: the server stops"}
	}
	kind := lockstep.KindOf(err)
	status, ok := statuses[kind]
	if !ok {
		status = http.StatusInternalServerError
	}
	return telling(status, kind, lockstep.MessageOf(err), err.Error())
}

// problem is what failed in one text, as HTTP carries it.
func problem(status int, kind lockstep.Kind, detail, hint string) *Problem {
	return telling(status, kind, lockstep.Message{What: detail, Hint: hint}, detail)
}

// telling is a message as HTTP carries it; detail is the whole error.
func telling(status int, kind lockstep.Kind, m lockstep.Message, detail string) *Problem {
	return &Problem{
		Type: "urn:lockstep:problem:" + cmp.Or(string(kind), "internal"), Title: http.StatusText(status),
		Status: status, Detail: detail, What: m.What, Why: m.Why, Hint: m.Hint, Kind: string(kind),
	}
}

// WriteProblem answers a request with an error, before anything else of the
// answer was written.
func WriteProblem(w http.ResponseWriter, err error) {
	p := ProblemOf(err)
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	// Whoever asked may have gone.
	_ = json.NewEncoder(w).Encode(p)
}

// TooMany is the error of whoever asks too often; hint says what to do.
func TooMany(detail, hint string) error {
	return problem(http.StatusTooManyRequests, lockstep.KindUnavailable, detail, hint)
}

// TooLarge is the error of a request that is larger than any should be.
func TooLarge(detail string) error {
	return problem(http.StatusRequestEntityTooLarge, lockstep.KindUsage, detail, "")
}

// huma keeps how it makes errors of its own, those of its validation, in a
// variable of its package; nothing else in this program uses huma.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		kind := lockstep.KindInternal
		switch {
		case status == http.StatusNotFound:
			kind = lockstep.KindNotFound
		case status >= 400 && status < 500:
			kind = lockstep.KindUsage
		}
		said := details(errs)
		m := lockstep.Message{What: message, Why: strings.Join(said, "; ")}
		return telling(status, kind, m, strings.Join(append([]string{message}, said...), "; "))
	}
}

// details say what was wrong and where. What was sent is not repeated: it may
// be large, or a secret in the wrong place.
func details(errs []error) []string {
	var out []string
	for _, err := range errs {
		if err == nil || len(out) == 8 {
			continue
		}
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			out = append(out, err.Error())
			continue
		}
		detail := d.ErrorDetail()
		out = append(out, strings.TrimPrefix(detail.Location+": "+detail.Message, ": "))
	}
	return out
}
