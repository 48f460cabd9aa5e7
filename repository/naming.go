package repository

import (
	"archive/tar"
	"fmt"
	"strings"

	"lockstep"
)

// MaxSuffix is how many backups may be begun under one id.
const MaxSuffix = 10_000

// CheckID refuses what is not a backup's id: it could not be a file's name. It is
// for repositories.
func CheckID(id lockstep.BackupID) error {
	name := string(id)
	const part = 100 // a deployment's name may be as long as a name can be, then come time and suffix
	if len(name) > 200 {
		return fmt.Errorf("backup %q: an id has at most 200 characters", id)
	}
	for len(name) > part {
		if err := lockstep.CheckName("backup", "_"+name[part:]); err != nil {
			return err
		}
		name = name[:part]
	}
	return lockstep.CheckName("backup", name)
}

// Numbered is the n-th id for backups that were begun under the same one, from
// 1 on.
func Numbered(id lockstep.BackupID, n int) lockstep.BackupID {
	if n > 1 {
		return lockstep.BackupID(fmt.Sprintf("%s_%d", id, n))
	}
	return id
}

// MemberPath is a tar member's name as the path of an entry. Whether it is a
// good one is for lockstep.NewEntryList to say.
func MemberPath(h *tar.Header) string {
	if h.Typeflag == tar.TypeDir {
		return memberPath(strings.TrimSuffix(h.Name, "/"))
	}
	return memberPath(h.Name)
}
