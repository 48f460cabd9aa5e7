package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// input is what a command reads. The library asks for it as soon as the session's
// streams are there, and tells the command an end whenever a Read fails: so one that
// broke off, or that nobody wants any more, fails only when the session is gone.
type input struct {
	from  io.Reader // nil is empty
	ctx   context.Context
	fail  context.CancelCauseFunc
	ended <-chan struct{} // the session is gone

	once  sync.Once
	began chan struct{} // closed at the first Read
}

var errOver = errors.New("the session is over")

func (i *input) Read(p []byte) (int, error) {
	i.once.Do(func() { close(i.began) })
	if i.ctx.Err() != nil {
		<-i.ended
		return 0, errOver
	}
	if i.from == nil {
		return 0, io.EOF
	}
	n, err := i.from.Read(p)
	if err != nil && err != io.EOF { // a wrapped EOF is a failure, not the end
		i.fail(fmt.Errorf("read the command's input: %w", err))
	}
	if i.ctx.Err() != nil {
		<-i.ended
		return 0, errOver
	}
	return n, err
}

// deadline gives a session up whose streams do not come to be.
func (i *input) deadline() {
	timer := time.NewTimer(beginTimeout)
	defer timer.Stop()
	select {
	case <-i.began:
	case <-i.ended:
	case <-timer.C:
		i.fail(fmt.Errorf("no session within %s", beginTimeout))
	}
}
