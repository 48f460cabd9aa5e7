package planner

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lockstep"
)

func TestSamePlanInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := deployments(t)
		p := lockstep.LockstepPolicy()
		one, errOne := Backup(d, p, BackupOptions{})
		mixed := shuffled(t, d)
		two, errTwo := Backup(mixed, p, BackupOptions{})
		if fmt.Sprint(errOne) != fmt.Sprint(errTwo) {
			t.Fatalf("%v, and in another order %v", errOne, errTwo)
		}
		if a, b := encoded(t, one), encoded(t, two); a != b {
			t.Fatalf("%s\nand in another order\n%s", a, b)
		}
		if Text(one) != Text(two) {
			t.Fatal("texts differ")
		}
		if diff := Changes(d, mixed); len(diff) > 0 {
			t.Fatalf("changes by order alone: %v", diff)
		}
	})
}

func encoded(t *rapid.T, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// shuffled is the deployment with everything listed in another order.
func shuffled(t *rapid.T, d lockstep.Deployment) lockstep.Deployment {
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
	d.Instances = mix(r, d.Instances)
	for i := range d.Instances {
		d.Instances[i].Jobs = mix(r, d.Instances[i].Jobs)
		for j := range d.Instances[i].Jobs {
			job := &d.Instances[i].Jobs[j]
			job.Scripts = mix(r, job.Scripts)
			job.Metadata.BackupBefore = mix(r, job.Metadata.BackupBefore)
			job.Metadata.RestoreBefore = mix(r, job.Metadata.RestoreBefore)
		}
	}
	return d
}

func mix[T any](r *rand.Rand, s []T) []T {
	s = slices.Clone(s)
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	return s
}

func TestDigestIgnoresWhatIsBuiltAnew(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := deployments(t)
		p := lockstep.LockstepPolicy()
		one, err := Backup(d, p, BackupOptions{ID: "shop_1"})
		if err != nil {
			t.Skip(err)
		}
		anew := shuffled(t, d)
		for i := range anew.Instances {
			anew.Instances[i].ID = strings.Repeat("x", 1+i)
			anew.Instances[i].Address = "10.9.9.9"
		}
		two, err := Backup(anew, p, BackupOptions{ID: "shop_2"})
		if err != nil || one.Digest() != two.Digest() {
			t.Fatalf("%v: %s\n%s", err, encoded(t, one), encoded(t, two))
		}
		for _, s := range one.Steps(lockstep.StageWork) {
			s.Script.Digest += "!"
			break
		}
		if one.Digest() == two.Digest() {
			t.Fatal("another script, the same digest")
		}
	})
}
