package spill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// merger reads several runs as one. The heads are a heap: the least is the first.
type merger struct {
	pool  *Pool
	heads []*head
}

func (m *merger) less(i, j int) bool {
	a, b := m.heads[i], m.heads[j]
	return compare(a.key, a.value, b.key, b.value) < 0
}

func (m *merger) push(h *head) {
	m.heads = append(m.heads, h)
	for i := len(m.heads) - 1; i > 0; {
		up := (i - 1) / 2
		if !m.less(i, up) {
			return
		}
		m.heads[i], m.heads[up] = m.heads[up], m.heads[i]
		i = up
	}
}

// advance reads on where the least record was.
func (m *merger) advance() error {
	ok, err := m.heads[0].next()
	if err != nil {
		return m.pool.trouble(err)
	}
	if !ok {
		last := len(m.heads) - 1
		m.heads[0] = m.heads[last]
		m.heads[last] = nil
		m.heads = m.heads[:last]
	}
	for i := 0; ; {
		least := i
		for _, down := range []int{2*i + 1, 2*i + 2} {
			if down < len(m.heads) && m.less(down, least) {
				least = down
			}
		}
		if least == i {
			return nil
		}
		m.heads[i], m.heads[least] = m.heads[least], m.heads[i]
		i = least
	}
}

// head is the next record of a run.
type head struct {
	in         *bufio.Reader
	buf        []byte
	key, value []byte
}

func (h *head) next() (bool, error) {
	var ok bool
	var err error
	h.key, h.value, h.buf, ok, err = readRecord(h.in, h.buf)
	return ok, err
}

// readRecord reads a record into buf, or a larger one. It refuses what nobody wrote:
// a disk may give back something else.
func readRecord(in *bufio.Reader, buf []byte) (key, value, next []byte, ok bool, err error) {
	k, err := binary.ReadUvarint(in)
	if err == io.EOF {
		return nil, nil, buf, false, nil
	}
	v, err2 := binary.ReadUvarint(in)
	if err := errors.Join(err, err2); err != nil {
		return nil, nil, buf, false, err
	}
	if k > MaxRecord || v > MaxRecord || k+v > MaxRecord {
		return nil, nil, buf, false, fmt.Errorf("it gives back a record of %d and %d bytes", k, v)
	}
	if uint64(cap(buf)) < k+v {
		buf = make([]byte, k+v)
	}
	buf = buf[:k+v]
	if _, err := io.ReadFull(in, buf); err != nil {
		return nil, nil, buf, false, fmt.Errorf("it does not give back what was written: %w", err)
	}
	return buf[:k], buf[k:], buf, true, nil
}
