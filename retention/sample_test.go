package retention

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// TestSample: what was never read again comes first, then what was read the longest
// ago, until the part is reached; again and again it comes to all.
func TestSample(t *testing.T) {
	t.Parallel()
	of := func(days int, bytes int64, verified int) lockstep.Backup {
		b := judged(days)
		b.ID = lockstep.BackupID(string(rune('a' + days)))
		b.Artifacts = []lockstep.Artifact{{Bytes: bytes}}
		if verified >= 0 {
			b.Verified = &lockstep.Verification{At: epoch.Add(-time.Duration(verified) * day)}
		}
		return b
	}
	all := []lockstep.Backup{of(0, 10, -1), of(1, 10, 1), of(2, 10, -1), of(3, 70, 9), of(4, 0, 5)}
	for percent, want := range map[int]string{1: "a", 10: "a", 11: "ac", 20: "ac", 21: "acd", 90: "acd", 91: "acdeb", 100: "acdeb"} {
		var got strings.Builder
		for _, b := range Sample(all, percent) {
			got.WriteString(string(b.ID))
		}
		if got.String() != want {
			t.Errorf("%d %%: got %s, want %s", percent, got.String(), want)
		}
	}
	if n := len(Sample(nil, 100)); n != 0 {
		t.Errorf("of nothing: %d", n)
	}
	seen := map[lockstep.BackupID]bool{}
	for i := range len(all) {
		for _, b := range Sample(all, 1) {
			seen[b.ID] = true
			at := slices.IndexFunc(all, func(x lockstep.Backup) bool { return x.ID == b.ID })
			all[at].Verified = &lockstep.Verification{At: epoch.Add(time.Duration(i+1) * time.Hour)}
		}
	}
	if len(seen) != len(all) {
		t.Errorf("%d samples came to %d of %d", len(all), len(seen), len(all))
	}
}
