package launcher

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds on what an instance may send in one frame.
const (
	maxLine    = 64 << 10
	maxPayload = 1 << 20
	// usualLine is the buffer of a session, of which there may be a thousand.
	usualLine = 2 << 10
)

var errFrame = errors.New("malformed reply from the launcher")

// frame is one message of the launcher: a line "ID TYPE LENGTH WORD...", then
// LENGTH bytes.
type frame struct {
	id      uint64
	kind    string
	words   []string
	payload []byte
}

// word is the i-th word, or "".
func (f frame) word(i int) string {
	if i < len(f.words) {
		return f.words[i]
	}
	return ""
}

// readFrame reads one frame. The instance is not trusted: a line or payload
// beyond the bounds is an error, never an allocation.
func readFrame(r *bufio.Reader) (frame, error) {
	line, err := readLine(r)
	if err != nil {
		return frame{}, err
	}
	fields := strings.Split(strings.TrimSuffix(string(line), "\n"), " ")
	if len(fields) < 3 {
		return frame{}, fmt.Errorf("%w: %.80q", errFrame, line)
	}
	id, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return frame{}, fmt.Errorf("%w: %.80q", errFrame, line)
	}
	size, err := strconv.ParseUint(fields[2], 10, 32)
	if err != nil || size > maxPayload {
		return frame{}, fmt.Errorf("%w: %.80q", errFrame, line)
	}
	f := frame{id: id, kind: fields[1], words: fields[3:]}
	if size > 0 {
		f.payload = make([]byte, size)
		if _, err := io.ReadFull(r, f.payload); err != nil {
			return frame{}, err
		}
	}
	return f, nil
}

// readLine reads up to and with a newline. What it gives is good until the
// next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	var long []byte
	for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
		long = append(long, line...)
		line, err = r.ReadSlice('\n')
	}
	if long = append(long, line...); len(long) > maxLine {
		return nil, fmt.Errorf("%w: line is too long", errFrame)
	}
	return long, err
}
