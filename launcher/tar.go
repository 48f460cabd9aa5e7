package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"lockstep/helper"
	"lockstep/target"
)

// longLink is the round trip from which one channel's window is too small: less
// than a gigabit link carries. A busy machine seldom looks that far away.
// worthDealing is the size from which several channels save more than they cost.
const (
	longLink     = 20 * time.Millisecond
	worthDealing = 8 << 20
)

// deals bounds, for the whole process, the transfers that are dealt out over
// several channels: each keeps up to 16 MiB in memory. Further ones take one
// channel; many of them fill a link as well.
var deals = make(chan struct{}, 2)

// TarOut writes the folder to w as an archive in posix (pax) format: times to
// the nanosecond, numeric owners, names relative to the folder ("./x"), holes as
// holes, no extended attributes. A file that changed while it was read is
// ErrTouched, anything else that tar complains about an error after which what was
// written is worthless. It is not retried. size is about how many bytes will come;
// it only serves to choose the way.
func (c *Client) TarOut(ctx context.Context, dir string, size int64, w io.Writer) error {
	word, err := c.streamDir(dir)
	if err != nil {
		return fmt.Errorf("read folder %q: %w", dir, err)
	}
	if err := c.readOut(ctx, size, w, "tar-out", "deal", word); err != nil {
		return fmt.Errorf("read folder %q: %w", dir, err)
	}
	return nil
}

// readOut runs a verb that writes about size bytes, or where the link is long the one
// that deals them out over several channels.
func (c *Client) readOut(ctx context.Context, size int64, w io.Writer, verb, deal string, words ...string) error {
	if size >= worthDealing && c.target.RoundTrip() > longLink {
		select {
		case deals <- struct{}{}:
			defer func() { <-deals }()
			return c.dealOut(ctx, w, deal, words...)
		default:
		}
	}
	return c.stream(ctx, verb, target.Streams{Stdout: w}, words...)
}

// feed runs a verb that unpacks what r gives. What the verb says goes to w.
func (c *Client) feed(ctx context.Context, verb string, r io.Reader, w io.Writer, words ...string) error {
	source := &source{from: r}
	err := c.stream(ctx, verb, target.Streams{Stdin: source, Stdout: w}, words...)
	if err == nil {
		err = source.finish(ctx)
	} else if fault := source.fault(); fault != nil {
		err = fault // what its stream's end did to tar, or to the connection, is told by it
	}
	return err
}

// Place makes the folder if it is not there and unpacks the archive that r gives into
// it, with modes, times and, for root, numeric owners; then it is Inventory of what is
// there, in the same session. Where the folder is new and only its owner can put anything
// into it, large files are digested where they lie while they grow; a helper digests all
// as it writes. Names in the archive are the business of the instance's tar, or of the
// helper: they refuse those that lead out of the folder. An error of r is the error of
// Place, whatever it made of the unpacking; others are those of Inventory, and ErrUnlent
// where there was a helper and is none any more: then it may be tried again, from the
// archive's beginning, in a folder that is new.
func (c *Client) Place(ctx context.Context, dir string, r io.Reader, each func(Item)) error {
	word, err := c.streamDir(dir)
	if err == nil {
		err = c.place(ctx, word, r, each)
	}
	if err != nil {
		return fmt.Errorf("unpack into folder %q: %w", dir, err)
	}
	return nil
}

func (c *Client) place(ctx context.Context, word string, r io.Reader, each func(Item)) error {
	if done, err := c.helped(ctx, each, nil, func(o *helperOutput, digest string) error {
		return c.feed(ctx, "lent-in", helper.NewFramed(r), o, digest, word)
	}); done || errors.Is(err, ErrUnlent) { // some of r may have been read
		return err
	}
	return listed(ctx, (*gathering).takeAll, each, func(w io.Writer) error { return c.feed(ctx, "place-in", r, w, word) })
}

// maxRest bounds what may follow the end of an archive: the rest of a record, of
// which no tar makes larger ones.
const maxRest = 16 << 20

// source remembers how reading ended. The target may still be reading when the
// command has ended, hence the locks.
type source struct {
	from    io.Reader
	reading sync.Mutex // held while from is read

	mu    sync.Mutex
	ended bool
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	return s.read(p)
}

func (s *source) read(p []byte) (int, error) {
	n, err := s.from.Read(p)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ended = errors.Is(err, io.EOF); !s.ended {
			s.err = err
		}
	}
	return n, err
}

// fault is the reader's error, if it had one.
func (s *source) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// over: has reading ended, well or not?
func (s *source) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended || s.err != nil
}

// finish reads what is left when all has been unpacked. tar ends with the record that
// has the archive's end in it: it does not wait for the end of its input, before
// which a reader that proves what it gives says whether all of it is as recorded.
func (s *source) finish(ctx context.Context) error {
	rest := make(chan error, 1)
	go func() { rest <- s.readRest() }()
	select {
	case err := <-rest:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *source) readRest() error {
	s.reading.Lock() // whoever fed tar may be waiting for the end, too
	defer s.reading.Unlock()
	buf := make([]byte, 32<<10)
	for left := maxRest; !s.over(); {
		n, _ := s.read(buf)
		if left -= n; left < 0 {
			return errors.New("the archive goes on after its end")
		}
	}
	return s.fault()
}

func (c *Client) streamDir(dir string) (string, error) {
	if err := checkDir(dir); err != nil {
		return "", err
	}
	return encodeWord(dir)
}

// stream runs one verb in a session of its own and demands exit status 0. The
// control session is there meanwhile: it holds the launcher's file.
func (c *Client) stream(ctx context.Context, verb string, streams target.Streams, words ...string) error {
	s, err := c.anySession(ctx)
	if err != nil {
		return err
	}
	stderr := &tail{}
	streams.Stderr = stderr
	run, term := c.owner()
	exit, err := c.target.Run(ctx, c.streamCommand(s.runDir, verb, append([]string{run, term}, words...)...), streams)
	if err != nil {
		return err
	}
	if exit.Code == exitFenced {
		return fmt.Errorf("%w: %s", ErrFenced, strings.TrimSpace(stderr.String()))
	}
	if exit.Code == exitTouched {
		return fmt.Errorf("%w: %s", ErrTouched, strings.TrimSpace(stderr.String()))
	}
	if exit.Code == exitUnlent {
		return fmt.Errorf("%w: %s", ErrUnlent, strings.TrimSpace(stderr.String()))
	}
	if !exit.OK() {
		return &ended{exit, strings.TrimSpace(stderr.String())}
	}
	return nil
}

// ended is how a verb ended that did not do what it should.
type ended struct {
	exit target.Exit
	said string
}

func (e *ended) Error() string { return e.exit.String() + ": " + e.said }
