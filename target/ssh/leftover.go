package ssh

import "time"

// After the exit status, what is left of the output is at most what was on its
// way: a window, and what the server and its pipes held. Anything beyond comes
// from somebody whom the command left behind.
const (
	maxLeftBytes = 16 << 20
	maxLeftTime  = 2 * time.Minute
	// closeGrace is how long the server may take to close a channel.
	closeGrace = 2 * time.Second
)

// leftover decides when nobody but a process that the command left behind can
// be holding the output open, and ends the session then.
//
// Silence alone proves nothing on a slow line, so it asks the server something
// then: all that the server had sent arrives before its answer. After an
// answer and no output, the channel is closed; what came in until then is
// still read, and the output ends.
type leftover struct {
	session *session
	look    <-chan struct{} // when to call next; nil before begin
	timer   *time.Timer

	closing bool
	asked   bool
	since   time.Time
	first   int64 // bytes taken when the exit status came
	before  int64 // bytes taken when last looked at
}

// begin starts the wait; the exit status has come.
func (l *leftover) begin() {
	l.since = time.Now()
	l.first = l.session.taken()
	l.sleep(l.session.target.config.DrainGrace)
}

// stop ends the wait.
func (l *leftover) stop() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

// next looks once. It reports whether not even the closed channel came to its
// end, so that nothing is left to wait for.
func (l *leftover) next() (over bool) {
	s := l.session
	taken, waiting := s.taken(), s.waitingForData()
	silent := waiting && taken == l.before
	endless := waiting && (taken-l.first > maxLeftBytes || time.Since(l.since) > maxLeftTime)
	switch {
	case l.closing:
		return true
	case silent && l.asked || endless:
		l.closing = true
		go s.channel.Close()
		l.sleep(closeGrace)
	case silent:
		l.asked = true
		l.ask()
	default:
		l.asked = false
		l.sleep(s.target.config.DrainGrace)
	}
	return false
}

// sleep looks again after a while.
func (l *leftover) sleep(d time.Duration) {
	l.before = l.session.taken()
	look := make(chan struct{}, 1)
	l.look = look
	l.timer = time.AfterFunc(d, func() { look <- struct{}{} })
}

// ask looks again after the server's answer.
func (l *leftover) ask() {
	look := make(chan struct{}, 1)
	l.look = look
	go func() {
		if l.session.conn.ping() == nil {
			look <- struct{}{}
		}
	}()
}

func (s *session) taken() int64 { return s.stdout.taken.Load() + s.stderr.taken.Load() }

func (s *session) waitingForData() bool { return s.stdout.waiting() && s.stderr.waiting() }
