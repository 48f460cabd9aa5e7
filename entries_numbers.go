package lockstep

import (
	"fmt"
	"math"
	"time"
)

// maxOwner is the largest number of a user or a group that Linux gives a file:
// the one above it means "none" to the kernel.
const maxOwner = math.MaxUint32 - 1

// EntryTime is a file's time as an entry's MTime. Every reader of times uses it,
// so that no two make different numbers of one time. Times before 1677-09-21 or
// after 2262-04-11 have no number: an archive carries them as they are, the entry
// has the first, or last, that there is.
func EntryTime(t time.Time) int64 {
	// time.Time compares seconds that are far away wrongly; these are exact.
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	sec, part := t.Unix(), t.Nanosecond()
	switch {
	case sec < first.Unix() || sec == first.Unix() && part < first.Nanosecond():
		return math.MinInt64
	case sec > last.Unix() || sec == last.Unix() && part > last.Nanosecond():
		return math.MaxInt64
	}
	return t.UnixNano()
}

// checkNumbers refuses what no file has, whoever says so.
func (e *Entry) checkNumbers() error {
	if e.UID < 0 || e.GID < 0 || int64(e.UID) > maxOwner || int64(e.GID) > maxOwner {
		return fmt.Errorf("artifact entry %q: its owner is %d:%d, which no file can have", e.Path, e.UID, e.GID)
	}
	if e.Size < 0 {
		return fmt.Errorf("artifact entry %q: its size is %d", e.Path, e.Size)
	}
	return nil
}
