package spill

import (
	"encoding/binary"
	"errors"

	"lockstep"
)

// encode is an entry as the value of a record whose key is its path.
func encode(b []byte, e lockstep.Entry) []byte {
	b = append(b, byte(e.Type))
	for _, n := range []uint64{uint64(e.Mode), uint64(e.UID), uint64(e.GID), uint64(e.Size)} {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendVarint(b, e.MTime)
	if e.Type == lockstep.EntryFile {
		b = append(b, e.Sum[:]...)
	}
	return append(b, e.Link...)
}

// decode is the entry of a record of a temporary file. What it refuses nobody wrote.
func (p *Pool) decode(key, value []byte) (lockstep.Entry, error) {
	e, ok := decode(key, value)
	if !ok {
		return e, p.trouble(errChanged)
	}
	return e, nil
}

func decode(key, value []byte) (e lockstep.Entry, ok bool) {
	if len(value) == 0 {
		return e, false
	}
	e = lockstep.Entry{Path: string(key), Type: lockstep.EntryType(value[0])}
	value = value[1:]
	var numbers [4]uint64
	for i := range numbers {
		n, size := binary.Uvarint(value)
		if size <= 0 {
			return e, false
		}
		numbers[i], value = n, value[size:]
	}
	mtime, size := binary.Varint(value)
	if size <= 0 {
		return e, false
	}
	value = value[size:]
	e.Mode, e.UID, e.GID, e.Size, e.MTime = uint32(numbers[0]), int(numbers[1]), int(numbers[2]), int64(numbers[3]), mtime
	if e.Type == lockstep.EntryFile {
		if len(value) < len(e.Sum) {
			return e, false
		}
		value = value[copy(e.Sum[:], value):]
	}
	e.Link = string(value)
	return e, true
}

// tryRecord is cutRecord of bytes that came from a disk.
func tryRecord(b []byte) (key, value []byte, size int, ok bool) {
	k, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, 0, false
	}
	v, m := binary.Uvarint(b[n:])
	if m <= 0 || k > MaxRecord || v > MaxRecord || uint64(len(b)-n-m) < k+v {
		return nil, nil, 0, false
	}
	key, value, size = cutRecord(b)
	return key, value, size, true
}

var errTwice = errors.New("appears twice")
