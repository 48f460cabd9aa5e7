package retention

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"lockstep"
)

func decisions(keep int, forget ...lockstep.BackupID) (all []Decision) {
	for range keep {
		all = append(all, Decision{Keep: true, Backup: lockstep.Backup{ID: "kept"}})
	}
	for _, id := range forget {
		all = append(all, Decision{Backup: lockstep.Backup{ID: id}})
	}
	return all
}

// TestForget: what the repository keeps stays, what is gone is gone, and nothing else
// stands in the way of the others.
func TestForget(t *testing.T) {
	broken := errors.New("disk on fire")
	answers := map[lockstep.BackupID]error{
		"kept":   errors.New("the rules keep it"),
		"locked": &lockstep.Error{Kind: lockstep.KindRetained}, "gone": &lockstep.Error{Kind: lockstep.KindNotFound}, "broken": broken,
	}
	var many []lockstep.BackupID
	for i := range 12 {
		many = append(many, lockstep.BackupID(fmt.Sprint(i)))
	}
	for want, c := range map[string]struct {
		all  []Decision
		is   error
		done []lockstep.BackupID
	}{
		"kept all 2": {decisions(2), nil, nil},
		"kept 1, forgot 2: a, gone, and object lock still keeps 1: locked": {decisions(1, "a", "locked", "gone"), nil, []lockstep.BackupID{"a"}},
		"kept 0, and object lock still keeps 1: locked":                    {decisions(0, "locked"), nil, nil},
		"kept 1, forgot 1: a, and left 1 that are damaged for a person to look at (`lockstep backups show ID`, then `backups forget ID`): d": {
			append(decisions(1, "a"), Decision{Backup: lockstep.Backup{ID: "d", Data: lockstep.DataDamaged}}), nil, []lockstep.BackupID{"a"},
		},
		"kept 1, forgot 1: a": {decisions(1, "a", "broken", "b"), broken, []lockstep.BackupID{"a"}},
		"kept 0, forgot 12: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more": {decisions(0, many...), nil, many},
	} {
		var done []lockstep.BackupID
		f, err := Forget(c.all, func(id lockstep.BackupID) error {
			if err := answers[id]; err != nil {
				return err
			}
			done = append(done, id)
			return nil
		})
		if f.String() != want || !errors.Is(err, c.is) || !slices.Equal(done, c.done) {
			t.Errorf("%s, %v, deleted %v; want %s", f, err, done, want)
		}
	}
}
