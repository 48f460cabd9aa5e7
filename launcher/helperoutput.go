package launcher

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"lockstep/helper"
)

// helperOutput takes apart what a helper says, as it comes; see helper.Version.
type helperOutput struct {
	archive io.Writer // nil: there is to be none
	list    io.Writer

	began  bool // something was said
	magic  int  // bytes of it that were read
	head   [5]byte
	heads  int // bytes of head that were read
	left   int // bytes of the frame that follow
	z      helper.Unpacker
	packed []byte // of a compressed frame, as far as it has come
	ended  bool
	err    error
}

// Write hands on what is in p. What an instance says is bounded: nothing is kept here.
func (o *helperOutput) Write(p []byte) (int, error) {
	n := len(p)
	o.began = o.began || n > 0
	for len(p) > 0 && o.err == nil {
		p, o.err = o.step(p)
	}
	if o.err != nil {
		return 0, o.err
	}
	return n, nil
}

// step takes in the beginning of p and gives the rest.
func (o *helperOutput) step(p []byte) ([]byte, error) {
	switch {
	case o.magic < len(helper.Magic):
		if p[0] != helper.Magic[o.magic] {
			return nil, fmt.Errorf("%w: the helper speaks another language", errFrame)
		}
		o.magic++
		return p[1:], nil
	case o.ended:
		return nil, fmt.Errorf("%w: something follows the helper's end", errFrame)
	case o.heads < len(o.head):
		n := copy(o.head[o.heads:], p)
		o.heads += n
		if o.heads < len(o.head) {
			return p[n:], nil
		}
		return p[n:], o.begin()
	}
	part := p[:min(len(p), o.left)]
	if err := o.hand(part); err != nil {
		return nil, err
	}
	if o.left -= len(part); o.left == 0 {
		o.heads = 0
	}
	return p[len(part):], nil
}

// begin looks at the head of a frame.
func (o *helperOutput) begin() error {
	size := binary.BigEndian.Uint32(o.head[1:])
	kind := o.head[0]
	if kind == 'x' && size == 0 {
		o.ended = true
		return nil
	}
	known := kind == 'l' || o.archive != nil && (kind == 'a' || kind == 'z')
	if size == 0 || size > helper.MaxFrame || !known {
		return fmt.Errorf("%w: the helper's frame %q of %d bytes", errFrame, kind, size)
	}
	o.left = int(size)
	return nil
}

func (o *helperOutput) hand(p []byte) error {
	w := o.list
	switch o.head[0] {
	case 'a':
		w = o.archive
	case 'z':
		return o.handPacked(p)
	}
	_, err := w.Write(p)
	return err
}

// handPacked hands on what is in a compressed frame when all of it has come.
func (o *helperOutput) handPacked(p []byte) error {
	o.packed = append(o.packed, p...)
	if len(p) < o.left {
		return nil
	}
	archive, err := o.z.Unpack(o.packed)
	o.packed = o.packed[:0]
	if err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	_, err = o.archive.Write(archive)
	return err
}

// whole is the error of what did not come to its end.
func (o *helperOutput) whole() error {
	if o.err == nil && !o.ended {
		return fmt.Errorf("%w: the helper's words end early", errFrame)
	}
	return o.err
}

// takeHelped reads a helper's list to its end.
func (g *gathering) takeHelped(r io.Reader) error {
	br, giveBack := fieldReader(r)
	defer giveBack()
	for {
		item, last, err := parseItem(br)
		if err != nil {
			return err
		}
		if last {
			return noMore(br)
		}
		sum, err := field(br)
		if err == nil {
			err = g.takeItem(item)
		}
		if err == nil && sum != "" {
			err = g.takeSum(item, sum)
		}
		if err != nil {
			return err
		}
	}
}

func (g *gathering) takeSum(item Item, digits string) error {
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != len(item.SHA256) || item.Type != 'f' {
		return fmt.Errorf("%w: digest %.80q of %.80q", errInventory, digits, item.Path)
	}
	g.key = append(g.key[:0], item.Path...)
	return g.sums.Add(g.key, sum)
}

func noMore(br *bufio.Reader) error {
	if _, err := br.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: something follows its end", errInventory)
	}
	return nil
}
