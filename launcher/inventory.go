package launcher

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/spill"
	"lockstep/target"
)

// Item is one entry of a folder as the instance sees it.
type Item struct {
	// Path is relative to the folder, raw; "" is the folder itself.
	Path string
	// Type is find's letter: f file, d folder, l symbolic link, p FIFO,
	// s socket, b or c device.
	Type byte
	// Mode are the permission bits, setuid, setgid and sticky included.
	Mode     uint32
	UID, GID uint32
	ModTime  time.Time
	Size     int64
	// Dev, Inode and Links: entries with the same Dev and Inode are names of
	// one file.
	Dev, Inode, Links uint64
	// Link is the raw target of a symbolic link.
	Link string
	// SHA256 of the content of a regular file.
	SHA256 [32]byte
}

// maxField bounds one field of the listing: a path of Linux is below 4 KiB,
// but find can meet longer ones.
const maxField = 64 << 10

// maxItems and maxNames bound what an instance may make us remember: entries,
// and the bytes of all their names. An artifact cannot hold more either.
const (
	maxItems = 1_000_000
	maxNames = 256 << 20
)

// fieldReaders are used again: many listings are much smaller than one.
var fieldReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxField) }}

// fieldReader reads r with room for one field; giveBack ends its use.
func fieldReader(r io.Reader) (br *bufio.Reader, giveBack func()) {
	br = fieldReaders.Get().(*bufio.Reader)
	br.Reset(r)
	return br, func() {
		br.Reset(nil)
		fieldReaders.Put(br)
	}
}

var errInventory = errors.New("malformed inventory")

// Inventory lists every entry of the folder, the folder first, and calls each with
// it: by path, but files that have several names last, all names of one together.
// Contents are digested on the instance, each inode once, on all its cores. Anything
// that cannot be read is an error; what each was given is worthless then.
func (c *Client) Inventory(ctx context.Context, dir string, each func(Item)) error {
	if err := c.inventory(ctx, dir, each); err != nil {
		return fmt.Errorf("list folder %q: %w", dir, err)
	}
	return nil
}

func (c *Client) inventory(ctx context.Context, dir string, each func(Item)) error {
	word, err := c.streamDir(dir)
	if err != nil {
		return err
	}
	if done, err := c.helped(ctx, each, nil, func(o *helperOutput, digest string) error {
		return c.stream(ctx, "lent-list", target.Streams{Stdout: o}, digest, word)
	}); done && !errors.Is(err, ErrHelperKilled) {
		return err
	}
	return listed(ctx, (*gathering).takeAll, each, func(w io.Writer) error {
		return c.stream(ctx, "inventory", target.Streams{Stdout: w}, word)
	})
}

// helped has a helper do a verb that lists a folder, and writes its archive, if it
// gives one. Where it was not done, because there is no helper any more, the error says
// so, and the shell may do it.
func (c *Client) helped(ctx context.Context, each func(Item), archive io.Writer, run func(o *helperOutput, digest string) error) (done bool, err error) {
	if !c.Lent() {
		return false, nil
	}
	err = listed(ctx, (*gathering).takeHelped, each, func(w io.Writer) error {
		o := &helperOutput{archive: archive, list: w}
		var err error
		done, err = c.byHelper(ctx, o, func(digest string) error { return run(o, digest) })
		return err
	})
	return done, err
}

// listed takes in the inventory that run writes, and calls each with its items.
func listed(ctx context.Context, take func(*gathering, io.Reader) error, each func(Item), run func(io.Writer) error) error {
	g := gather(ctx)
	defer g.close()
	pr, pw := io.Pipe()
	parsed := make(chan error, 1)
	go func() {
		err := take(g, pr)
		// What comes after an error is not wanted, but must not block.
		_ = pr.CloseWithError(errors.Join(err, errInventory))
		parsed <- err
	}()
	err := run(pw)
	_ = pw.Close()
	perr := <-parsed
	if errors.Is(perr, spill.ErrSpill) {
		err = perr // the stream only saw its output refused
	}
	if err = cmp.Or(err, perr); err != nil {
		return err
	}
	return g.each(each)
}

// takeAll is take of what ends there.
func (g *gathering) takeAll(r io.Reader) error {
	br, giveBack := fieldReader(r)
	defer giveBack()
	if err := g.take(br); err != nil {
		return err
	}
	return noMore(br)
}

// parseItem reads one entry: three fields ended by NUL.
func parseItem(br *bufio.Reader) (item Item, last bool, err error) {
	meta, err := field(br)
	if err != nil || meta == "end" {
		return Item{}, err == nil, err
	}
	if item, err = parseMeta(meta); err != nil {
		return Item{}, false, err
	}
	if item.Path, err = field(br); err != nil {
		return Item{}, false, err
	}
	item.Link, err = field(br)
	return item, false, err
}

// field reads up to a NUL.
func field(br *bufio.Reader) (string, error) {
	b, err := br.ReadSlice(0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", fmt.Errorf("%w: %w", errInventory, err)
	}
	return string(b[:len(b)-1]), nil
}

// parseMeta reads "TYPE MODE UID GID MTIME SIZE DEV INODE LINKS".
func parseMeta(s string) (Item, error) {
	f := strings.Split(s, " ")
	if len(f) != 9 || len(f[0]) != 1 {
		return Item{}, fmt.Errorf("%w: entry %.100q", errInventory, s)
	}
	mode, err1 := strconv.ParseUint(f[1], 8, 12)
	uid, err2 := strconv.ParseUint(f[2], 10, 32)
	gid, err3 := strconv.ParseUint(f[3], 10, 32)
	mtime, err4 := parseTime(f[4])
	size, err5 := strconv.ParseInt(f[5], 10, 64)
	dev, err6 := strconv.ParseUint(f[6], 10, 64)
	ino, err7 := strconv.ParseUint(f[7], 10, 64)
	links, err8 := strconv.ParseUint(f[8], 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil || size < 0 {
		return Item{}, fmt.Errorf("%w: entry %.100q: %w", errInventory, s, err)
	}
	return Item{
		Type: f[0][0], Mode: uint32(mode), UID: uint32(uid), GID: uint32(gid),
		ModTime: mtime, Size: size, Dev: dev, Inode: ino, Links: links,
	}, nil
}

// parseTime reads find's "SECONDS.FRACTION", which before 1970 is floor and
// positive fraction.
func parseTime(s string) (time.Time, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	nsec, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 32)
	if err != nil || nsec < 0 {
		return time.Time{}, fmt.Errorf("fraction %.20q", fraction)
	}
	return time.Unix(sec, nsec).UTC(), nil
}

// eachDigest hands every line up to "done" to take, whose error ends it.
func eachDigest(br *bufio.Reader, take func(line string) error) error {
	for {
		b, err := br.ReadSlice('\n')
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("%w: digests end early: %w", errInventory, err)
		}
		line := strings.TrimSuffix(string(b), "\n")
		if line == "done" {
			return nil
		}
		if err := take(line); err != nil {
			return err
		}
	}
}
