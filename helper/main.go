package helper

import (
	"errors"
	"io"
	"strconv"
)

// Version is that of the verbs and of what they say. Standard output begins with
// Magic; then come frames: a letter, a length of four bytes, the most significant
// first, and so many bytes, MaxFrame at most.
//
//	a  bytes of an archive in posix (pax) format, as GNU tar -S writes it
//	z  the same, compressed: a frame of zstd (RFC 8878) by itself, MaxFrame bytes at
//	   most when unpacked
//	l  bytes of the list: for each entry four fields, each ended by NUL: what
//	   find's '%y %m %U %G %T@ %s %D %i %n' says, the path without "./", a link's
//	   target, and a regular file's SHA-256 in hex; of several names of one file one
//	   at least has it. Behind the last entry, a field "end".
//	x  the last one, without bytes: all is there
//
// The frames of a and z are in order, and those of l. What ends without an x is not
// whole. The verb place reads frames of a and z, up to the end of its input.
const (
	Version  = 2
	Magic    = "lockstep-helper 2\n"
	MaxFrame = 256 << 10
)

// The exit statuses of the program, beside 0.
const (
	ExitFailed  = 2  // nothing that was said counts
	ExitUsage   = 64 // of another version, as a rule
	ExitTouched = 97 // all is there, and something changed while it was read
)

// Main is the program: pack, deal N, list, place or version. in is read by place, out
// are the descriptors that it writes to: all verbs but deal take the first one.
// It gives the exit status.
func Main(args []string, in io.Reader, out func(i int) int, stderr io.Writer) int {
	touched, err := run(args, in, out, stderr)
	switch {
	case errors.Is(err, errUsage):
		return ExitUsage
	case err != nil:
		_, _ = io.WriteString(stderr, err.Error()+"\n")
		return ExitFailed
	case touched:
		return ExitTouched
	}
	return 0
}

var errUsage = errors.New("usage")

// MaxDeal is how many descriptors deal may write to.
const MaxDeal = 16

func run(args []string, in io.Reader, out func(int) int, stderr io.Writer) (touched bool, err error) {
	verb, n := "", 1
	if len(args) > 0 {
		verb = args[0]
	}
	if verb == "deal" && len(args) == 2 {
		verb = "pack"
		if n, err = strconv.Atoi(args[1]); err != nil || n < 1 || n > MaxDeal {
			return false, errUsage
		}
	} else if len(args) != 1 {
		return false, errUsage
	}
	fds := make([]int, n)
	for i := range fds {
		fds[i] = out(i)
	}
	switch verb {
	case "version":
		return false, (&dealer{fds: fds}).write([]byte(Magic))
	case "pack":
		return pack(newOutput(fds, true), stderr)
	case "list":
		return false, list(newOutput(fds, false), nil)
	case "place":
		known, err := place(in)
		if err != nil {
			return false, err
		}
		return false, list(newOutput(fds, false), known)
	}
	return false, errUsage
}

// pack says what is in the working directory, and gives its archive.
func pack(o *output, stderr io.Writer) (bool, error) {
	w := newWalk(o)
	w.archive, w.warn = true, stderr
	if err := w.all(); err != nil {
		return false, err
	}
	if err := w.lookAgain(); err != nil {
		return false, err
	}
	o.endArchive()
	return w.touched, o.end()
}

// list says what is in the working directory. Digests that are known are not taken
// again.
func list(o *output, known *digests) error {
	w := newWalk(o)
	w.known = known
	if err := w.all(); err != nil {
		return err
	}
	return o.end()
}
