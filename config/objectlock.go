package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// ObjectLock has an S3 service keep what backups need from being removed.
type ObjectLock struct {
	// Compliance: not even the bucket's owner can remove it earlier; else who may bypass
	// governance can.
	Compliance bool
	// Days are at least 1 and at most longestLock.
	Days int
}

// Period is for how long what is saved or needed again is kept.
func (l ObjectLock) Period() time.Duration { return time.Duration(l.Days) * 24 * time.Hour }

// longestLock is the longest that services allow.
const longestLock = 36_500

type fileObjectLock struct {
	Mode lockMode `key:"mode" example:"compliance" required:"true" doc:"governance, which people with the permission to bypass it can end, or compliance, which nobody can: a slip of the pen stays for all its days"`
	Days count    `key:"days" example:"30" required:"true" doc:"how long what is saved or needed again stays"`
}

type lockMode struct{ leaf[string] }

var lockModes = []string{"governance", "compliance"}

func (m *lockMode) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, lockModes, func(v string) { m.put(n, v) })
}

func (*lockMode) schema() schema { return schema{"enum": lockModes} }

func (f *fileRestic) objectLock(d *decoder) *ObjectLock {
	if !f.ObjectLock.set {
		return nil
	}
	l := f.ObjectLock.value
	if l.Days.value > longestLock {
		d.problem(l.Days.at, "days is more than %d; write for example: 30", longestLock)
	}
	return &ObjectLock{Compliance: l.Mode.value == lockModes[1], Days: l.Days.value}
}

func (l *ObjectLock) show() *shown {
	mode := lockModes[0]
	if l.Compliance {
		mode = lockModes[1]
	}
	return mapping().add("mode", mode).add("days", l.Days)
}
