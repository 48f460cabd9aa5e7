package discover

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"lockstep/target"
)

// frame is one piece of a probe's answer; probe.sh lists their names.
type frame struct {
	name, arg, code string
	body            []byte
}

// maxAnswer bounds the answer of one instance, in bytes.
const maxAnswer = 32 << 20

// errNoAnswer: the probe's marker is not in the output, so it did not run.
var errNoAnswer = errors.New("the instance did not answer")

// parseFrames reads a probe's output. What stands before the marker or after the
// last frame was printed by the login; there it would be in an artifact.
func parseFrames(out []byte, marker string) ([]frame, error) {
	before, rest, found := bytes.Cut(out, []byte(marker+"\x00"))
	if !found {
		return nil, errNoAnswer
	}
	if len(before) > 0 {
		return nil, &target.Foreign{Text: target.FirstLine(string(before))}
	}
	var frames []frame
	for {
		f, after, err := parseFrame(rest)
		if err != nil {
			return nil, fmt.Errorf("read frame %d of the answer: %w", len(frames)+1, err)
		}
		if frames = append(frames, f); f.name == "end" {
			if len(after) > 0 {
				return nil, &target.Foreign{Text: target.FirstLine(string(after)), After: true}
			}
			return frames, nil
		}
		rest = after
	}
}

func parseFrame(data []byte) (f frame, rest []byte, err error) {
	var length string
	for _, field := range []*string{&f.name, &f.arg, &f.code, &length} {
		value, after, found := bytes.Cut(data, []byte{0})
		if !found {
			return f, nil, errors.New("it is cut off")
		}
		*field, data = string(value), after
	}
	n, err := strconv.ParseUint(length, 10, 31)
	if err != nil {
		return f, nil, fmt.Errorf("%q is not a length", length)
	}
	if n > uint64(len(data)) {
		return f, nil, errors.New("it is cut off")
	}
	f.body = data[:n]
	return f, data[n:], nil
}

// capture collects output up to a bound. Beyond it a strict one refuses to be
// written to, any other drops.
type capture struct {
	bytes.Buffer
	limit  int
	strict bool
	full   bool
}

var errTooMuch = errors.New("the answer is too long")

func (c *capture) Write(p []byte) (int, error) {
	room := max(c.limit-c.Len(), 0)
	if len(p) <= room {
		return c.Buffer.Write(p)
	}
	c.full = true
	if c.strict {
		return 0, errTooMuch
	}
	c.Buffer.Write(p[:room])
	return len(p), nil
}
