package retention

import (
	"fmt"
	"strings"

	"lockstep"
)

// Forgotten says what became of backups that rules were applied to.
type Forgotten struct {
	// Kept is how many the rules keep.
	Kept int
	// Gone were deleted; Stay are to be, and the repository still keeps them.
	Gone, Stay []lockstep.BackupID
	// Damaged no rule keeps, and were left for a person to look at.
	Damaged []lockstep.BackupID
}

// Forget deletes what no rule keeps, with remove, one after another. What the repository
// must keep (lockstep.KindRetained) stays for a later time, what is gone already is gone.
// Any other error ends it; what it returns says what was done until then.
//
// It is for where nobody looks at the decisions first: so it leaves damaged backups. They
// may be called so for a disk that was away, or hold what no other does.
func Forget(decisions []Decision, remove func(lockstep.BackupID) error) (Forgotten, error) {
	var f Forgotten
	for _, d := range decisions {
		if d.Keep {
			f.Kept++
		}
	}
	for _, d := range decisions {
		if d.Keep {
			continue
		}
		if d.Backup.Data == lockstep.DataDamaged {
			f.Damaged = append(f.Damaged, d.Backup.ID)
			continue
		}
		err := remove(d.Backup.ID)
		switch kind := lockstep.KindOf(err); {
		case kind == lockstep.KindRetained:
			f.Stay = append(f.Stay, d.Backup.ID)
			continue
		case err != nil && kind != lockstep.KindNotFound:
			return f, fmt.Errorf("forget backup %s: %w", d.Backup.ID, err)
		}
		f.Gone = append(f.Gone, d.Backup.ID)
	}
	return f, nil
}

// String is one sentence for people.
func (f Forgotten) String() string {
	if len(f.Gone)+len(f.Stay)+len(f.Damaged) == 0 {
		return fmt.Sprintf("kept all %d", f.Kept)
	}
	said := fmt.Sprintf("kept %d", f.Kept)
	if len(f.Gone) > 0 {
		said += fmt.Sprintf(", forgot %d: %s", len(f.Gone), few(f.Gone))
	}
	if len(f.Stay) > 0 {
		said += fmt.Sprintf(", and object lock still keeps %d: %s", len(f.Stay), few(f.Stay))
	}
	if len(f.Damaged) > 0 {
		said += fmt.Sprintf(", and left %d that are damaged for a person to look at (`lockstep backups show ID`, then `backups forget ID`): %s", len(f.Damaged), few(f.Damaged))
	}
	return said
}

// few names some, and counts the others.
func few(ids []lockstep.BackupID) string {
	const named = 10
	var names []string
	for _, id := range ids[:min(named, len(ids))] {
		names = append(names, string(id))
	}
	if len(ids) > named {
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), len(ids)-named)
	}
	return strings.Join(names, ", ")
}
