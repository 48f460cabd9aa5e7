package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"
)

// WriteJSON writes a value to stdout: indented, times in UTC, and without a
// character that a terminal would act on.
func (t *Terminal) WriteJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	if _, err := t.stdout.Write(escapeJSON(timesInUTC(b.Bytes()))); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// zoned is a whole JSON string that is a time with an offset from UTC.
var zoned = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d"`)

// timesInUTC writes the times in a JSON text in UTC, wherever they were made.
func timesInUTC(b []byte) []byte {
	return zoned.ReplaceAllFunc(b, func(s []byte) []byte {
		t, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(s))
		if err != nil {
			return s
		}
		return []byte(t.UTC().Format(`"` + time.RFC3339Nano + `"`))
	})
}

// escapeJSON writes what clean would escape as \uXXXX, which stands for the
// same in JSON. The encoder has escaped the C0 characters already.
func escapeJSON(b []byte) []byte {
	if !bytes.ContainsFunc(b, dangerous) { // line feeds between values stay
		return b
	}
	var out bytes.Buffer
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case dangerous(r) && r < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, r)
		case dangerous(r):
			r -= 0x10000
			fmt.Fprintf(&out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.Bytes()
}

// List is a slice that JSON writes as [] when it is empty.
func List[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
