package launcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/target"
)

// errLost: the control session is gone; what was asked may have been done.
var errLost = errors.New("control session was lost")

// session is one control session. It begins with a hello and ends with the
// command, or when the client closes it; it is never repaired, only replaced.
type session struct {
	cancel context.CancelFunc
	input  chan string   // lines, taken by the one who reads its input
	ready  chan struct{} // closed after the hello
	// listening is closed when the bootstrap has read the challenge.
	listening    chan struct{}
	answerWithin time.Duration
	silent       atomic.Bool   // it was given up before the hello
	began        time.Time     // when it was opened
	gaveUp       atomic.Int64  // how long after that, in nanoseconds
	done         chan struct{} // closed when err is set
	eof          chan struct{} // closed to end the session in good order
	once         sync.Once

	// Set before ready is closed.
	runDir string
	login  string    // the login directory
	base   time.Time // the instance's clock when it booted

	err error // set before done is closed

	mu     sync.Mutex
	nextID uint64
	calls  map[uint64]*call
}

// call is one verb that awaits its answer.
type call struct {
	frames chan frame
	gone   <-chan struct{}
}

// openSession starts the command; it does not wait for the hello.
func openSession(t target.Target, command, text string, within time.Duration) *session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{
		cancel: cancel, input: make(chan string), ready: make(chan struct{}), done: make(chan struct{}),
		eof: make(chan struct{}), calls: make(map[uint64]*call),
		listening: make(chan struct{}), answerWithin: within, began: time.Now(),
	}
	stdoutR, stdoutW := io.Pipe()
	stderr := &tail{}
	parsed := make(chan error, 1)
	go func() {
		err := s.read(stdoutR)
		if !errors.Is(err, io.EOF) {
			cancel() // what speaks there is not the launcher
		}
		_ = stdoutR.CloseWithError(err)
		parsed <- err
	}()
	go func() {
		exit, err := t.Run(ctx, command, target.Streams{Stdin: &input{session: s, rest: target.Challenge, text: text}, Stdout: stdoutW, Stderr: stderr})
		_ = stdoutW.Close()
		perr := <-parsed
		s.end(exit, err, perr, strings.TrimSpace(stderr.String()))
		cancel()
	}()
	return s
}

// read hands frames to their calls until the output ends.
func (s *session) read(r io.Reader) error {
	br := bufio.NewReaderSize(r, usualLine)
	if err := s.awaitListening(br); err != nil {
		return err
	}
	for {
		f, err := readFrame(br)
		if err != nil {
			return err
		}
		if f.kind == "hello" {
			if err := s.greet(f); err != nil {
				return err
			}
			continue
		}
		s.mu.Lock()
		c := s.calls[f.id]
		s.mu.Unlock()
		if c == nil {
			continue
		}
		select {
		case c.frames <- f:
		case <-c.gone:
		}
	}
}

// greet reads the hello: boot id, uptime, wall clock, length of the run
// folder's name; the run folder and the login directory.
func (s *session) greet(f frame) error {
	up, err1 := strconv.ParseFloat(f.word(1), 64)
	epoch, err2 := strconv.ParseFloat(f.word(2), 64)
	n, err3 := strconv.ParseUint(f.word(3), 10, 16)
	if errors.Join(err1, err2, err3) != nil || s.runDir != "" || n == 0 || int(n) > len(f.payload) {
		return fmt.Errorf("%w: hello %q", errFrame, f.words)
	}
	s.runDir, s.login = string(f.payload[:n]), string(f.payload[n:])
	s.base = time.UnixMicro(int64((epoch - up) * 1e6)).UTC()
	close(s.ready)
	return nil
}

// end records why the session is over.
func (s *session) end(exit target.Exit, err, parse error, stderr string) {
	greeted := false
	select {
	case <-s.ready:
		greeted = true
	default:
	}
	channel := s.channelError(exit, parse, stderr)
	switch {
	case !greeted && channel != nil:
		s.err = channel
	case parse != nil && errors.Is(parse, errFrame):
		s.err = parse
	case err != nil:
		s.err = fmt.Errorf("%w: %w", errLost, err)
	case greeted:
		s.err = fmt.Errorf("%w: %v", errLost, exit)
	default:
		s.err = bootError(exit, stderr)
	}
	close(s.done)
}

// forget tells the launcher that nobody waits for that answer any more. It is
// a courtesy, so it does not insist.
func (s *session) forget(id uint64) {
	select {
	case s.input <- fmt.Sprintf("0 cancel %d\n", id):
	case <-s.done:
	case <-time.After(100 * time.Millisecond):
	}
}

// close ends the session in good order: the launcher tidies up and exits.
func (s *session) close(patience time.Duration) {
	s.once.Do(func() { close(s.eof) })
	select {
	case <-s.done:
	case <-time.After(patience):
		s.cancel()
		<-s.done
	}
}

// tail keeps the last 4 KiB written to it. Safe for concurrent use.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - 4096; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.buf), "�")
}
