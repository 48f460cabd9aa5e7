package bbr

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// The levels of log lines.
const (
	debug = "DEBUG"
	info  = "INFO"
	warn  = "WARN"
	fail  = "ERROR"
)

// logger writes log lines. All methods may be called concurrently.
type logger struct {
	now   func() time.Time
	debug bool // lines of level DEBUG are written too

	mu     sync.Mutex
	to     io.Writer
	paused bool
	held   bytes.Buffer // what was logged while paused
}

func newLogger(to io.Writer, now func() time.Time, debug bool) *logger {
	return &logger{to: to, now: now, debug: debug}
}

// log writes one line as the original does; the message may have several.
func (l *logger) log(level, message string) { l.tagged("bbr", level, message) }

// tagged writes a line under another name than the program's.
func (l *logger) tagged(tag, level, message string) {
	if level == debug && !l.debug {
		return
	}
	l.write(fmt.Sprintf("[%s] %s %s - %s\n", tag, l.now().Local().Format("2006/01/02 15:04:05"), level, message))
}

func (l *logger) write(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused {
		l.held.WriteString(s)
		return
	}
	_, _ = io.WriteString(l.to, s) // there is nobody to tell
}

// pause holds lines back until resume.
func (l *logger) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = true
}

// resume writes what was held back.
func (l *logger) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = false
	_, _ = l.to.Write(l.held.Bytes())
	l.held.Reset()
}

// syncWriter lets several goroutines write to one stream.
type syncWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
