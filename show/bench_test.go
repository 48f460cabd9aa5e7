package show

import (
	"fmt"
	"testing"

	"lockstep"
	"lockstep/show/showtest"
)

// wide is a deployment of n instances with a job each, half of them without a
// lock script of their own.
func wide(n int) lockstep.Deployment {
	d := showtest.SampleShop()
	for k := range n {
		in := showtest.SampleShop().Instances[k%2]
		in.ID, in.Index = fmt.Sprint(k), fmt.Sprint(k)
		if k%2 == 1 {
			unlock := lockstep.Script{Kind: lockstep.ScriptPostBackupUnlock, Path: "/unlock", Digest: "ab"}
			in.Jobs[0].Scripts = append(in.Jobs[0].Scripts, unlock)
		}
		if k < 2 {
			d.Instances[k] = in
			continue
		}
		d.Instances = append(d.Instances, in)
	}
	return d
}

// BenchmarkLiveView draws one picture of a backup of 1000 instances in the
// middle of its unlock stage.
func BenchmarkLiveView(b *testing.B) {
	p := showtest.NewPlay()
	p.OpenOf(wide(1000), lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	p.Drive("db/0/postgres/post-backup-unlock")
	v := viewOf(p)
	for b.Loop() {
		v.Render(p.Now, 120, 40)
	}
}
