package mockdirector

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// The credentials that a Director takes.
const (
	Username = "admin"
	Password = "admin"
)

// Director is a strict director. All methods may be called concurrently.
type Director struct {
	tb     testing.TB
	server *httptest.Server

	mu        sync.Mutex // requests are answered one after another
	expected  []Call
	seen      []string
	unordered bool
	user      string // last one that was set up
}

// Call is one expected call and its answer.
type Call struct {
	Method, URL string // URL is the path with its query
	// Authorization is the header to find; "" is that of Username and
	// Password. Anybody takes every caller.
	Authorization string
	Anybody       bool
	// Check looks at the request; an error fails the test.
	Check func(r *http.Request, body []byte) error
	// Match tells calls of one URL apart where the order is free; nil takes
	// all.
	Match func(body []byte) bool

	// Status is that of the answer, 0 is 200; Header and Body are what it
	// holds. Do, if not nil, makes the body while answering.
	Status int
	Header map[string]string
	Body   string
	Do     func(d *Director, body []byte) string
}

// String is METHOD URL.
func (c Call) String() string { return c.Method + " " + c.URL }

// New starts a director that expects nothing yet. It is closed when the test
// ends; the test then fails if calls are missing.
func New(tb testing.TB) *Director {
	tb.Helper()
	d := &Director{tb: tb}
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(d.answer))
	d.server.Config.ErrorLog = quiet()
	d.server.StartTLS()
	tb.Cleanup(func() {
		d.server.Close()
		d.Verify()
	})
	return d
}

// URL is where the director listens, https://127.0.0.1:PORT.
func (d *Director) URL() string { return d.server.URL }

// CACert is the certificate to trust, as PEM text.
func (d *Director) CACert() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.server.Certificate().Raw}))
}

// Unordered lets calls come in any order from now on, for clients that ask for
// several things at once. Each is still expected as often as it was told.
func (d *Director) Unordered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unordered = true
}

// Expect adds calls to those that are expected.
func (d *Director) Expect(calls ...[]Call) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range calls {
		d.expected = append(d.expected, c...)
	}
}

// Verify fails the test if expected calls were not made, and forgets them.
func (d *Director) Verify() {
	d.tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.expected {
		d.tb.Errorf("mock director: the call %s was not made", c)
	}
	d.expected = nil
}

// Seen are the calls that were made, as METHOD URL.
func (d *Director) Seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

// User is the SSH user that was set up last.
func (d *Director) User() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.user
}

func (d *Director) answer(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.tb.Errorf("mock director: read the body of %s %s: %v", r.Method, r.URL, err)
	}
	d.seen = append(d.seen, r.Method+" "+r.URL.String())
	c, ok := d.take(r, body)
	if !ok {
		http.Error(w, "mock director: this call was not expected", http.StatusInternalServerError)
		return
	}
	if err := c.verify(r, body); err != nil {
		d.tb.Errorf("mock director: %s: %v", c, err)
	}
	text := c.Body
	if c.Do != nil {
		text = c.Do(d, body)
	}
	for name, value := range c.Header {
		w.Header().Set(name, value)
	}
	if c.Status != 0 {
		w.WriteHeader(c.Status)
	}
	_, _ = io.WriteString(w, text)
}

// take takes the next expected call, which must be this one.
func (d *Director) take(r *http.Request, body []byte) (Call, bool) {
	got := r.Method + " " + r.URL.String()
	if len(d.expected) == 0 {
		d.tb.Errorf("mock director: %s was not expected, nothing was any more", got)
		return Call{}, false
	}
	for i, c := range d.expected {
		if c.String() == got && (!d.unordered || c.Match == nil || c.Match(body)) {
			d.expected = append(d.expected[:i:i], d.expected[i+1:]...)
			return c, true
		}
		if !d.unordered {
			break
		}
	}
	d.tb.Errorf("mock director: %s was not expected, but %s", got, d.expected[0])
	return Call{}, false
}

// verify compares what goes beyond method and URL.
func (c Call) verify(r *http.Request, body []byte) error {
	want := c.Authorization
	if want == "" {
		want = "Basic " + base64.StdEncoding.EncodeToString([]byte(Username+":"+Password))
	}
	if got := r.Header.Get("Authorization"); got != want && !c.Anybody {
		return fmt.Errorf("Authorization is %q, not %q", got, want)
	}
	if r.Method == http.MethodGet && len(body) > 0 {
		return fmt.Errorf("a GET has a body: %s", body)
	}
	if strings.Contains(c.URL, "/output?type=event") && !strings.HasPrefix(r.Header.Get("Range"), "bytes=") {
		return fmt.Errorf("Range is %q", r.Header.Get("Range"))
	}
	if c.Check != nil {
		return c.Check(r, body)
	}
	return nil
}
