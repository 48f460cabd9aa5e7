package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"lockstep"
	"lockstep/api"
)

// handler is everything that a request passes.
func (s *Server) handler() http.Handler {
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, &lockstep.Error{Kind: lockstep.KindForbidden, Err: errors.New("the request comes from a page of another site")})
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fromBehind(s.cfg.Proxies, r)
		a := &answer{ResponseWriter: w, control: http.NewResponseController(w), patience: s.cfg.Limits.Write, id: requestID(r), began: time.Now()}
		a.extend()
		if hasBody(r) { // until it was read, also by who only throws it away
			_ = a.control.SetReadDeadline(time.Now().Add(bodyTimeout))
		}
		defer s.logged(a, r)
		s.headers(a)
		if s.open(a, r) {
			return
		}
		foreign.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.admitted(a, r) })).ServeHTTP(a, r)
	})
}

// open answers the routes that need no authentication.
func (s *Server) open(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz":
		fmt.Fprintln(w, "ok")
	case "/readyz":
		if err := s.MayStart(); err != nil {
			api.WriteProblem(w, err)
			return true
		}
		fmt.Fprintln(w, s.readyLine())
	case "/version":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.cfg.Version) // whoever asked may have gone
	default:
		return false
	}
	return true
}

// readyLine says that runs may begin, and, where there are several servers, whether
// this one leads. A follower is as ready as the leader.
func (s *Server) readyLine() string {
	if s.cfg.Leading != nil {
		if word := s.cfg.Leading().Word(); word != "" {
			return "ready, " + word
		}
	}
	return "ready"
}

// admitted answers everything else, once it is known who asks.
func (s *Server) admitted(a *answer, r *http.Request) {
	face, route := s.face(r)
	ctx, name, err := s.cfg.Admit(r, route)
	a.name = name
	if err != nil {
		s.refuse(a, r, face, err)
		return
	}
	if name == "" {
		s.stranger(ctx, a, r, face, route)
		return
	}
	limiter := s.requests
	switch {
	case strings.HasSuffix(route, "/events") || strings.HasSuffix(route, "/stream"):
		limiter = s.streams
	}
	leave, err := limiter.enter(name)
	if err != nil {
		api.WriteProblem(a, err)
		return
	}
	defer leave()
	if limiter == s.streams {
		var end context.CancelFunc
		ctx, end = s.whileAdmitted(ctx, r, route)
		defer end()
	}
	r = r.WithContext(ctx)
	if err := s.readBody(a, r); err != nil {
		api.WriteProblem(a, err)
		return
	}
	face.ServeHTTP(a, r)
}

// stranger answers somebody who is not known. All of the body is there before
// anything that others need is taken; what an identity provider may take its
// time for does not stand before those who show a token.
func (s *Server) stranger(ctx context.Context, a *answer, r *http.Request, face http.Handler, route string) {
	r = r.WithContext(ctx)
	if err := s.readBody(a, r); err != nil {
		api.WriteProblem(a, err)
		return
	}
	limiter := s.strangers
	if strings.Contains(route, "/login/oidc") {
		limiter = s.provided
	}
	leave, err := limiter.enter(hostOf(r.RemoteAddr))
	if err != nil {
		api.WriteProblem(a, err)
		return
	}
	defer leave()
	face.ServeHTTP(a, r)
}

// whileAdmitted is a context that ends when whoever asks would not be let in any
// more, with that as its cause: a stream may last longer than a token is good.
func (s *Server) whileAdmitted(ctx context.Context, r *http.Request, route string) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(s.cfg.Limits.Again)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			_, _, err := s.cfg.Admit(r, route)
			if kind := lockstep.KindOf(err); kind == lockstep.KindUnauthenticated || kind == lockstep.KindForbidden {
				end(err)
				return
			}
		}
	}()
	return ctx, func() { end(nil) }
}

// refuse answers in the way of whoever would have answered.
func (s *Server) refuse(a *answer, r *http.Request, face http.Handler, err error) {
	if s.cfg.UI != nil && face == http.Handler(s.cfg.UI) {
		s.cfg.RefuseUI(a, r, err)
		return
	}
	api.WriteProblem(a, err)
}

// face is who answers a request, and the route that it is for there.
func (s *Server) face(r *http.Request) (http.Handler, string) {
	switch {
	case r.URL.Path == "/metrics" && s.cfg.Metrics != nil:
		return s.cfg.Metrics, "GET /metrics"
	case s.cfg.UI == nil, strings.HasPrefix(r.URL.Path, "/api/"), r.URL.Path == "/openapi.json":
		return s.cfg.API, s.cfg.API.Pattern(r)
	}
	return s.cfg.UI, s.cfg.UI.Pattern(r)
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// readBody reads the whole body, in bounded time and space, so that whoever
// answers has no slow sender to wait for.
func (s *Server) readBody(a *answer, r *http.Request) error {
	if !hasBody(r) {
		return nil
	}
	most := int64(maxBody)
	if a.name == "" {
		most = maxStranger
	}
	if r.ContentLength > most {
		a.Header().Set("Connection", "close")
		return api.TooLarge(fmt.Sprintf("the body is larger than %d bytes", most))
	}
	leave, err := s.mayRead(a, r)
	if err != nil {
		return err
	}
	defer leave()
	data, err := io.ReadAll(http.MaxBytesReader(a, r.Body, most))
	if err == nil { // what is left of a body that failed is waited for no longer
		_ = a.control.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return api.TooLarge(fmt.Sprintf("the body is larger than %d bytes", most))
	case err != nil:
		a.Header().Set("Connection", "close")
		return &lockstep.Error{Kind: lockstep.KindUsage, Op: "read the request", Err: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}

// mayRead says until when a body may be read: those of strangers are small, and
// must not stand before others'.
func (s *Server) mayRead(a *answer, r *http.Request) (leave func(), err error) {
	if a.name == "" {
		leave = s.queue.enter(hostOf(r.RemoteAddr), func() { _ = a.control.SetReadDeadline(time.Now()) })
		_ = a.control.SetReadDeadline(time.Now().Add(formTimeout))
		return leave, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), bodyTimeout)
	defer cancel()
	if leave, err = s.bodies.take(ctx, a.name); err == nil {
		_ = a.control.SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	return leave, err
}

// headers are those of every answer. Pages may be stricter, never laxer.
func (s *Server) headers(a *answer) {
	h := a.Header()
	h.Set("X-Request-Id", a.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "+
		"frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	if s.cfg.TLS != nil {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// requestID is the id that whoever asks has given, if it is a plain word, or
// a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) > 0 && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" {
		return id
	}
	return rand.Text()
}

// logged ends an answer: a defect becomes an error of its own, and the access
// log gets its line.
func (s *Server) logged(a *answer, r *http.Request) {
	defect := recover()
	aborted := defect == http.ErrAbortHandler
	if defect != nil && !aborted {
		s.cfg.Log.Error("defect while answering", "request_id", a.id, "defect", fmt.Sprint(defect), "stack", string(debug.Stack()))
		if a.status == 0 {
			api.WriteProblem(a, errors.New("a defect of the orchestrator; its log has more under the request id "+a.id))
		} else {
			aborted = true
		}
	}
	level := slog.LevelInfo
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		level = slog.LevelDebug
	}
	s.cfg.Log.Log(context.WithoutCancel(r.Context()), level, "answered",
		"request_id", a.id, "method", r.Method, "path", r.URL.Path, "status", a.status, "bytes", a.bytes,
		"seconds", time.Since(a.began).Seconds(), "principal", a.name, "remote", r.RemoteAddr, "broken_off", aborted)
	if aborted {
		panic(http.ErrAbortHandler)
	}
	a.extend()
}

// answer is a response whose every write has a deadline: a reader that is too
// slow is let go.
type answer struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	id       string
	name     string
	began    time.Time
	status   int
	bytes    int64
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) extend() { _ = a.control.SetWriteDeadline(time.Now().Add(a.patience)) }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.extend()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.extend()
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// FlushError is called by http.ResponseController.
func (a *answer) FlushError() error {
	a.extend()
	return a.control.Flush()
}
