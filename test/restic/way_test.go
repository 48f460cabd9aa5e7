//go:build restictest

package restic

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// way is a proxy on 127.0.0.1 before a service, on which a test has things go wrong.
type way struct {
	to   http.Handler
	addr string
	over chan struct{} // closed when the test ends, or hanging does

	mu sync.Mutex
	// wrong answers a request in the service's place, or reports that it did not.
	wrong func(w http.ResponseWriter, r *http.Request) bool
	// stored counts the bytes of packs that were sent to the service.
	stored atomic.Int64
}

func newWay(t *testing.T, g *gateway) *way {
	t.Helper()
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.address})
	p.ErrorLog = nil
	p.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	w := &way{to: p, over: make(chan struct{})}
	srv := httptest.NewServer(w)
	w.addr = strings.TrimPrefix(srv.URL, "http://")
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(w.over) })
	return w
}

func (w *way) goes(wrong func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = wrong
}

func (w *way) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	wrong := w.wrong
	w.mu.Unlock()
	if wrong != nil && wrong(rw, r) {
		return
	}
	if packed(r, http.MethodPut) {
		r.Body = &counted{r.Body, &w.stored}
	}
	w.to.ServeHTTP(rw, r)
}

// packed reports whether a request is about a pack.
func packed(r *http.Request, method string) bool {
	return r.Method == method && strings.Contains(r.URL.Path, "/data/")
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// slowly is a body that gives so many bytes a second.
type slowly struct {
	io.ReadCloser
	rate int
}

func (s *slowly) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), s.rate/20)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	return n, err
}

// hangs reads half of a request and answers no more.
func (w *way) hangs(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	<-w.over
}

// breaksOff gives a part of an answer, and no more.
func (w *way) breaksOff(rw http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	w.to.ServeHTTP(rec, r)
	for k, v := range rec.Header() {
		rw.Header()[k] = v
	}
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	rw.(http.Flusher).Flush()
	<-w.over
}

// answers is what a service says in S3's words.
func answers(rw http.ResponseWriter, status int, code string) bool {
	rw.Header().Set("Content-Type", "application/xml")
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, "<Error><Code>"+code+"</Code><Message>said by the test</Message></Error>")
	return true
}

// newMetadata is a machine's metadata service (IMDSv2), which gives the gateway's
// credentials until the time that it is told.
func newMetadata(t *testing.T, until func() time.Time) string {
	t.Helper()
	const roles = "/latest/meta-data/iam/security-credentials/"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			_, _ = io.WriteString(w, "session")
		case r.Header.Get("X-aws-ec2-metadata-token") != "session":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == roles:
			_, _ = io.WriteString(w, "backups")
		case r.URL.Path == roles+"backups":
			_ = json.NewEncoder(w).Encode(map[string]any{"Code": "Success", "AccessKeyId": "lockstep", "SecretAccessKey": "lockstep-secret", "Expiration": until()})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}
