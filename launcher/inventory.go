package launcher

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

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

var errInventory = errors.New("the inventory makes no sense")

// Inventory lists every entry of the folder, the folder first, in find's
// order, and calls each with it. Contents are digested on the instance, each
// inode once, on all its cores. Anything that cannot be read is an error, and
// then each has not been called.
func (c *Client) Inventory(ctx context.Context, dir string, each func(Item)) error {
	items, err := c.inventory(ctx, dir)
	if err != nil {
		return fmt.Errorf("list folder %q: %w", dir, err)
	}
	for _, item := range items {
		each(item)
	}
	return nil
}

func (c *Client) inventory(ctx context.Context, dir string) ([]Item, error) {
	word, err := c.streamDir(dir)
	if err != nil {
		return nil, err
	}
	pr, pw := io.Pipe()
	type result struct {
		items []Item
		err   error
	}
	parsed := make(chan result, 1)
	go func() {
		items, err := parseInventory(pr)
		// What comes after an error is not wanted, but must not block.
		_ = pr.CloseWithError(errors.Join(err, errInventory))
		parsed <- result{items, err}
	}()
	err = c.stream(ctx, "inventory", target.Streams{Stdout: pw}, word)
	_ = pw.Close()
	r := <-parsed
	if err != nil {
		return nil, err
	}
	return r.items, r.err
}

// inode tells files apart.
type inode struct{ dev, ino uint64 }

// parseInventory reads the launcher's listing and digests.
func parseInventory(r io.Reader) ([]Item, error) {
	br, giveBack := fieldReader(r)
	defer giveBack()
	items, err := parseListing(br)
	if err != nil {
		return nil, err
	}
	byInode := make(map[inode][]int)
	for i, item := range items {
		if item.Type == 'f' {
			key := inode{item.Dev, item.Inode}
			byInode[key] = append(byInode[key], i)
		}
	}
	if err := parseDigests(br, items, byInode); err != nil {
		return nil, err
	}
	if _, err := br.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows its end", errInventory)
	}
	return items, nil
}

// parseListing reads all entries, up to the field that ends them.
func parseListing(br *bufio.Reader) ([]Item, error) {
	var items []Item
	names := 0
	for {
		item, last, err := parseItem(br)
		if err != nil {
			return nil, err
		}
		if last {
			return items, nil
		}
		names += len(item.Path) + len(item.Link)
		if len(items) == maxItems || names > maxNames {
			return nil, fmt.Errorf("%w: more than %d entries, or %d bytes of names", errInventory, maxItems, maxNames)
		}
		items = append(items, item)
	}
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

// parseDigests reads lines "DEV:INODE HEX" up to "done". Every regular file
// must get one.
func parseDigests(br *bufio.Reader, items []Item, byInode map[inode][]int) error {
	err := eachDigest(br, func(line string) error {
		key, sum, err := parseDigest(line)
		for _, i := range byInode[key] {
			items[i].SHA256 = sum
		}
		delete(byInode, key)
		return err
	})
	if err != nil {
		return err
	}
	for _, names := range byInode {
		return fmt.Errorf("%q changed or vanished while it was listed", items[names[0]].Path)
	}
	return nil
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

func parseDigest(line string) (inode, [32]byte, error) {
	var sum [32]byte
	key, digits, ok := strings.Cut(line, " ")
	dev, ino, ok2 := strings.Cut(key, ":")
	d, err1 := strconv.ParseUint(dev, 10, 64)
	i, err2 := strconv.ParseUint(ino, 10, 64)
	raw, err3 := hex.DecodeString(digits)
	if !ok || !ok2 || err1 != nil || err2 != nil || err3 != nil || len(raw) != len(sum) {
		return inode{}, sum, fmt.Errorf("%w: digest %.120q", errInventory, line)
	}
	copy(sum[:], raw)
	return inode{d, i}, sum, nil
}
