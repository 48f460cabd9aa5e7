package spill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
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
	lengths    []byte
	sum        [crc32.Size]byte
}

// next reads a record, and nobody sees it unless it is what was written.
func (h *head) next() (bool, error) {
	var ok bool
	var err error
	h.key, h.value, h.buf, ok, err = readRecord(h.in, h.buf)
	if err != nil || !ok {
		return false, err
	}
	if _, err := io.ReadFull(h.in, h.sum[:]); err != nil {
		return false, errors.Join(errChanged, err)
	}
	h.lengths = binary.AppendUvarint(binary.AppendUvarint(h.lengths[:0], uint64(len(h.key))), uint64(len(h.value)))
	if sum := crc32.Update(crc32.Checksum(h.lengths, castagnoli), castagnoli, h.buf); sum != binary.BigEndian.Uint32(h.sum[:]) {
		return false, errChanged
	}
	return true, nil
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
