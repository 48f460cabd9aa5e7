package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"lockstep"
)

// Face is a part of the server that answers routes of its own.
type Face interface {
	http.Handler
	// Pattern is the route that a request is for, "" if it has none.
	Pattern(*http.Request) string
}

// Config is what a Server is made of.
type Config struct {
	// API answers /api/ and /openapi.json, UI everything else; UI may be nil.
	API, UI Face
	// RefuseUI answers a request for the UI that may not pass; it is there where
	// UI is.
	RefuseUI func(w http.ResponseWriter, r *http.Request, err error)
	// Metrics answers /metrics; it may be nil.
	Metrics http.Handler
	// Admit says who asks: in the context that it returns, and by name for the
	// access log. Its error refuses the request. It is asked with the route,
	// for every request but those for /healthz, /readyz and /version.
	Admit func(r *http.Request, route string) (ctx context.Context, name string, err error)
	// TLS, if not nil, is how connections are encrypted.
	TLS *tls.Config
	// Proxies are the networks of proxies that are believed when they say, in
	// X-Forwarded-For, where a request came from.
	Proxies []netip.Prefix
	// Leading, if not nil, says who of several servers leads; /readyz tells it.
	Leading func() lockstep.Leading
	// Version is answered at /version.
	Version any
	Log     *slog.Logger
	Limits  Limits
}

// Server answers requests. It is starting until Ready is called.
type Server struct {
	cfg   Config
	http  *http.Server
	state atomic.Int32
	// streams and requests count what is being answered, strangers what is
	// answered to people who are not known, by their address, and provided what
	// an identity provider is asked for them.
	streams, requests, strangers, provided *limiter

	bodies *seats
	queue  *queue
	end    context.CancelFunc
}

const (
	starting = iota
	ready
	stopping
)

// New makes a Server.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{
		cfg:       cfg,
		streams:   newLimiter("streams", cfg.Limits.Streams),
		requests:  newLimiter("requests", cfg.Limits.Requests),
		strangers: newLimiter("requests of people who are not logged in", cfg.Limits.Strangers),
		provided:  newLimiter("logins at the identity provider", max(1, cfg.Limits.Strangers/4)),
		bodies:    newSeats(cfg.Limits.Bodies),
		queue:     &queue{most: maxQueued, each: oneQueued},
	}
	base, end := context.WithCancel(context.Background())
	s.end = end
	s.http = &http.Server{
		Handler:           s.handler(),
		TLSConfig:         cfg.TLS,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHead,
		// OPTIONS * is asked by somebody, too.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return base },
	}
	return s
}

// Ready says that runs may begin.
func (s *Server) Ready() { s.state.CompareAndSwap(starting, ready) }

// Stopping says that no more runs begin. It cannot be taken back.
func (s *Server) Stopping() { s.state.Store(stopping) }

// MayStart is the error of a run that is asked for while none begins.
func (s *Server) MayStart() error {
	switch s.state.Load() {
	case starting:
		return &lockstep.Error{
			Kind: lockstep.KindUnavailable, Op: "begin a run",
			Err:  errors.New("the orchestrator has just started and still settles what a dead one left"),
			Hint: "ask again in a moment; /readyz says when",
		}
	case stopping:
		return &lockstep.Error{
			Kind: lockstep.KindUnavailable, Op: "begin a run", Err: errors.New("the orchestrator stops"),
			Hint: "ask again when it is back",
		}
	}
	return nil
}

// Listen opens the listener that Serve wants. Beyond loopback it must be
// encrypted.
func Listen(ctx context.Context, addr string, encrypted bool) (net.Listener, error) {
	op := "listen on " + addr
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: op, Err: err, Hint: "choose another address with --listen or server.listen"}
	}
	tcp, ok := l.Addr().(*net.TCPAddr)
	if encrypted || ok && tcp.IP.IsLoopback() {
		return l, nil
	}
	return nil, errors.Join(l.Close(), &lockstep.Error{
		Kind: lockstep.KindRefused, Op: op, Err: errors.New("TLS is required on non-loopback addresses"),
		Hint: "give server.tls a cert_file and a key_file, or listen on 127.0.0.1 behind a proxy that has them",
	})
}

// Serve answers requests until Close is called; it closes the listener.
func (s *Server) Serve(l net.Listener) error {
	l = newConnections(l, s.cfg.Limits.Connections, s.cfg.TLS == nil, s.cfg.Proxies)
	var err error
	if s.cfg.TLS != nil {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// closeTimeout is how long answers may take to be finished.
const closeTimeout = 10 * time.Second

// Close ends streams, lets other answers be finished, and closes everything.
func (s *Server) Close() error {
	s.Stopping()
	s.end()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}
