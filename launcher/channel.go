package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep"
	"lockstep/target"
)

// answerWithin is how long a control session may take from its start, when it
// can be read from, to its hello. It is not the time to connect.
const answerWithin = 30 * time.Second

// endWithin is how long one that did not answer may take to end with its input:
// how it ends may say more than its silence.
const endWithin = 3 * time.Second

// listening is the line by which the bootstrap says that it has read the
// challenge, and reads on. Nothing else is sent before: whoever else reads there
// would run it.
const listening = "0 listening 0\n"

var errSilent = errors.New("its login does not answer")

// input is what the launcher reads: the challenge, then its text once it
// listens, then lines as they are asked. It is read from one goroutine.
type input struct {
	session *session
	rest    string
	text    string // "" once it has been sent
	patient *time.Timer
}

// Read blocks until there is a line, or the session is to end.
func (in *input) Read(p []byte) (int, error) {
	s := in.session
	if in.patient == nil { // the command has been started
		in.patient = time.AfterFunc(s.answerWithin, s.giveUp)
	}
	for in.rest == "" {
		listening := s.listening
		var lines chan string
		if in.text == "" {
			listening, lines = nil, s.input
		}
		select {
		case <-listening:
			in.rest, in.text = in.text, ""
		case in.rest = <-lines:
		case <-s.eof:
			return 0, io.EOF
		case <-s.done:
			in.patient.Stop()
			return 0, io.EOF
		}
	}
	n := copy(p, in.rest)
	in.rest = in.rest[n:]
	return n, nil
}

// giveUp ends a session that has not said hello: its input ends, which some are
// waiting for, and a little later the session itself.
func (s *session) giveUp() {
	select {
	case <-s.ready:
		return
	case <-s.done:
		return
	default:
	}
	s.gaveUp.Store(int64(time.Since(s.began)))
	s.silent.Store(true)
	s.close(endWithin)
}

// waited is how long the session had until it was given up.
func (s *session) waited() time.Duration {
	return min(s.answerWithin, time.Duration(s.gaveUp.Load()).Round(time.Second))
}

// awaitListening reads up to the line that says that the launcher's bootstrap
// listens. Anything else is somebody else's.
func (s *session) awaitListening(r *bufio.Reader) error {
	blank := false
	for {
		line, err := r.ReadSlice('\n') // what fills the buffer is not a line of ours
		text := strings.TrimSpace(string(line))
		if string(line) == listening {
			if blank {
				return &target.Foreign{Text: target.FirstLine("")}
			}
			close(s.listening)
			return nil
		}
		if text != "" {
			return &target.Foreign{Text: target.FirstLine(text)}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		blank = true
	}
}

// channelError explains a control session that ended before its hello because
// of the login. It is nil where it is not that.
func (s *session) channelError(exit target.Exit, parse error, stderr string) error {
	e := &lockstep.Error{Kind: lockstep.KindInvalid, Op: "start the launcher"}
	var foreign *target.Foreign
	switch {
	case errors.As(parse, &foreign):
		e.Err, e.Hint = foreign, target.LoginHint(foreign.Text, stderr, exit)
	case s.silent.Load() && exit.Code != target.ExitEaten && exit.Code != target.ExitReplaced:
		e.Kind = ""
		e.Err = fmt.Errorf("%w within %s: %s", errSilent, s.waited(), said(stderr))
		e.Hint = "a start file of that login waits for something, or the machine is overloaded: try by hand: ssh USER@HOST 'cat; echo ok' </dev/null"
		return e
	default:
		return nil
	}
	return permanent{e}
}

func said(stderr string) string {
	if stderr == "" {
		return "nothing on standard error"
	}
	return stderr
}
