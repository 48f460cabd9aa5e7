package lockstep

import (
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewRunID is the id of a run that begins at that time: a version 7 UUID with
// the fraction of the millisecond behind it (RFC 9562, section 6.2, method 3),
// so ids sort by the time of their run, to a quarter of a microsecond. The
// bytes must be random.
func NewRunID(now time.Time, random [8]byte) RunID {
	var b [16]byte
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli())<<16)
	copy(b[:6], ms[:6])
	fraction := now.Sub(time.UnixMilli(now.UnixMilli()))
	binary.BigEndian.PutUint16(b[6:8], uint16(fraction*4096/time.Millisecond)|0x7000)
	copy(b[8:], random[:])
	b[8] = b[8]&0x3f | 0x80
	return runID(b)
}

func runID(b [16]byte) RunID {
	h := hex.EncodeToString(b[:])
	return RunID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// Time is when the id was made, to the millisecond. It reports false for what
// NewRunID cannot have made.
func (id RunID) Time() (time.Time, bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-' {
		return time.Time{}, false
	}
	b, err := hex.DecodeString(string(id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]))
	if err != nil || b[6]>>4 != 7 || b[8]>>6 != 2 {
		return time.Time{}, false
	}
	var ms [8]byte
	copy(ms[2:], b[:6])
	made := time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
	return made, runID([16]byte(b)) == id
}
