package launcher

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// maxName bounds an encoded name: it becomes part of a file's name.
const maxName = 200

var errNUL = errors.New("a NUL byte cannot be passed to a shell")

// encodeWord makes one word of a verb's line from any bytes but NUL: "=" and
// the text where it is harmless, else "%" and the text with octal escapes.
func encodeWord(s string) (string, error) {
	if strings.IndexByte(s, 0) >= 0 {
		return "", fmt.Errorf("encode %q: %w", s, errNUL)
	}
	plain := true
	for i := range len(s) {
		plain = plain && harmless(s[i])
	}
	if plain {
		return "=" + s, nil
	}
	var b strings.Builder
	b.WriteByte('%')
	for i := range len(s) {
		if harmless(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, `\0%03o`, s[i])
		}
	}
	return b.String(), nil
}

// harmless bytes mean nothing to a shell, to printf or to our own encoding.
func harmless(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("_./:,@+=-", c) >= 0
}

// encodeName makes a name (run, step) into part of a file's name.
func encodeName(s string) (string, error) {
	name := escapeName(s)
	if name == "" || len(name) > maxName {
		return "", fmt.Errorf("name %q: must be 1 to %d bytes when escaped", s, maxName)
	}
	return name, nil
}

// escapeName is encodeName without bounds.
func escapeName(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if harmless(c) && strings.IndexByte("/:,@+=", c) < 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// decodeName undoes escapeName. What an instance sends may be anything.
func decodeName(s string) (string, error) {
	if len(s) > 16*maxName {
		return "", errors.New("name is too long")
	}
	return url.PathUnescape(s)
}

// attemptWord is the number of a try; 0 means the first.
func attemptWord(n int) string { return strconv.Itoa(max(n, 1)) }

// decodeWord undoes encodeWord.
func decodeWord(w string) (string, error) {
	if rest, ok := strings.CutPrefix(w, "="); ok {
		return rest, nil
	}
	rest, ok := strings.CutPrefix(w, "%")
	if !ok {
		return "", fmt.Errorf("word %.80q has no known prefix", w)
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		if rest[i] != '\\' {
			b.WriteByte(rest[i])
			continue
		}
		if len(rest) < i+5 || rest[i+1] != '0' {
			return "", fmt.Errorf("word %.80q has a bad escape", w)
		}
		n, err := strconv.ParseUint(rest[i+2:i+5], 8, 8)
		if err != nil {
			return "", fmt.Errorf("word %.80q has a bad escape", w)
		}
		b.WriteByte(byte(n))
		i += 4
	}
	return b.String(), nil
}
