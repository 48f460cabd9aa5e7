package server

import (
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"time"

	"lockstep/api"
)

// Limits bound what is answered at once. What is beyond them is refused with
// a reason, so that runs keep the files and the memory that they need. Zero
// fields have defaults.
type Limits struct {
	// Connections that are open. The default is 10,000, and no more than half
	// of the files that this process may open. One address may have half of
	// them, but this host and proxies may have all.
	Connections int
	// Streams of events, and Requests of any other kind. One principal may
	// have half of each.
	Streams, Requests int
	// Strangers are requests of people who are not known, such as those for the
	// login form, beside the others. One address may have half of them. Only what
	// has arrived as a whole counts.
	Strangers int
	// Bodies that are being read, of people who are known. One of them may have
	// half.
	Bodies int
	// Write is how long one write of an answer may take.
	Write time.Duration
	// Again is how often it is asked again whether a stream may go on.
	Again time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = min(10_000, openFiles()/2)
	}
	if l.Streams == 0 {
		l.Streams = l.Connections / 2
	}
	if l.Requests == 0 {
		l.Requests = 256
	}
	if l.Strangers == 0 {
		l.Strangers = 64
	}
	if l.Bodies == 0 {
		l.Bodies = 32
	}
	if l.Write == 0 {
		l.Write = 30 * time.Second
	}
	if l.Again == 0 {
		l.Again = time.Minute
	}
	return l
}

// openFiles is how many files this process may open.
func openFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}

// Deadlines and sizes of every connection.
const (
	headTimeout = 5 * time.Second
	bodyTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	maxHead     = 64 << 10
	maxBody     = 1 << 20
	// maxStranger is for bodies of people who are not known: login forms.
	maxStranger = 16 << 10
	// formTimeout is for those bodies: a form arrives with its head.
	formTimeout = 3 * time.Second
	// maxQueued strangers may be sending at once, oneQueued from one address.
	maxQueued, oneQueued = 256, 32
)

// limiter bounds how many are answered at once, and how many of one name.
type limiter struct {
	what string
	most int

	mu  sync.Mutex
	all int
	by  map[string]int
}

func newLimiter(what string, most int) *limiter {
	return &limiter{what: what, most: most, by: map[string]int{}}
}

// enter counts one more; leave must be called where there is no error.
func (c *limiter) enter(name string) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	half := max(1, c.most/2)
	switch {
	case c.all >= c.most:
		return nil, &api.Problem{
			Type: "urn:lockstep:problem:unavailable", Title: http.StatusText(http.StatusServiceUnavailable),
			Status: http.StatusServiceUnavailable, Kind: "unavailable",
			Detail: fmt.Sprintf("limit of %d concurrent %s reached", c.most, c.what), Hint: "ask again in a moment",
		}
	case c.by[name] >= half:
		return nil, api.TooMany(fmt.Sprintf("limit of %d concurrent %s for %s reached", half, c.what, name), "end some of them")
	}
	c.all++
	c.by[name]++
	return func() { c.leave(name) }, nil
}

func (c *limiter) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.by[name]--; c.by[name] == 0 {
		delete(c.by, name)
	}
}
