package show

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"
)

// console is stderr. While a live view owns the terminal, lines go through it
// instead, so that they do not tear the picture.
type console struct {
	mu sync.Mutex
	to io.Writer
	// above, if not nil, shows a line above the live view.
	above func(line string)
}

// Write takes whole lines, as loggers write them.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.above != nil {
		c.above(strings.TrimRight(string(b), "\n"))
		return len(b), nil
	}
	return c.to.Write(b)
}

func (c *console) WriteString(s string) { _, _ = c.Write([]byte(s)) }

// divert sends lines to show until it is called with nil.
func (c *console) divert(show func(string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.above = show
}

// newLogger logs to w: one line each, for people, in colour or not, or as JSON.
func newLogger(w io.Writer, l Look, colour bool) *slog.Logger {
	level := slog.LevelInfo
	if l.Verbose {
		level = slog.LevelDebug
	}
	if l.LogJSON {
		return slog.New(slog.NewJSONHandler(harmlessJSON{w}, &slog.HandlerOptions{Level: level, ReplaceAttr: utcTime}))
	}
	return slog.New(cleanHandler{tint.NewTextHandler(w, &tint.Options{
		Level: level, TimeFormat: time.TimeOnly, NoColor: !colour, ReplaceAttr: bareLevel,
	})})
}

// harmlessJSON escapes what a terminal would act on in lines of JSON.
type harmlessJSON struct{ io.Writer }

// Write writes whole lines.
func (h harmlessJSON) Write(b []byte) (int, error) {
	if _, err := h.Writer.Write(escapeJSON(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// utcTime makes the JSON log's times RFC 3339 in UTC.
func utcTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Time(slog.TimeKey, a.Value.Time().UTC())
	}
	return a
}

// bareLevel leaves the level of ordinary lines out.
func bareLevel(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.LevelKey && len(groups) == 0 {
		if l, ok := a.Value.Any().(slog.Level); ok && l <= slog.LevelInfo {
			return slog.Attr{}
		}
	}
	return a
}

// cleanHandler makes messages harmless to a terminal and keeps them on their
// line.
type cleanHandler struct{ slog.Handler }

// Handle passes the record on.
func (h cleanHandler) Handle(ctx context.Context, r slog.Record) error {
	c := slog.NewRecord(r.Time, r.Level, Indent(Clean(r.Message), "         "), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		c.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, c)
}

// WithAttrs keeps the cleaning.
func (h cleanHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cleanHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the cleaning.
func (h cleanHandler) WithGroup(name string) slog.Handler {
	return cleanHandler{h.Handler.WithGroup(name)}
}
