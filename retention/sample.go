package retention

import (
	"cmp"
	"slices"

	"lockstep"
)

// Sample says which backups to read again where a part of them is enough: from 1 to
// 100 percent of the bytes of all, and at least one. Those that were never read again
// come first, the newest first; then those that were read the longest ago. Who reads a
// sample again and again so comes to all of them.
func Sample(backups []lockstep.Backup, percent int) []lockstep.Backup {
	order := slices.Clone(backups)
	slices.SortStableFunc(order, func(a, b lockstep.Backup) int {
		switch {
		case a.Verified == nil && b.Verified == nil:
			return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID))
		case a.Verified == nil:
			return -1
		case b.Verified == nil:
			return 1
		}
		return a.Verified.At.Compare(b.Verified.At)
	})
	all := 0.0
	for _, b := range order {
		all += float64(b.Bytes())
	}
	read := 0.0
	for n, b := range order {
		if n > 0 && read*100 >= all*float64(percent) {
			return order[:n]
		}
		read += float64(b.Bytes())
	}
	return order
}
