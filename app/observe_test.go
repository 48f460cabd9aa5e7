package app

import (
	"sync"
	"testing"

	"lockstep"
	"lockstep/journal/mem"
	repomem "lockstep/repository/mem"
	"lockstep/source"
)

func TestObserve_IsToldEachEventThatIsInTheJournal(t *testing.T) {
	t.Parallel()
	s := twoInstances(t)
	var mu sync.Mutex
	told := map[uint64]int{}
	j := mem.New()
	a := New(Config{
		Journal: j, Repository: repomem.New(), Sources: []source.Source{s}, Policy: lockstep.LockstepPolicy(), ContractVersion: "1.9.99",
		Observe: func(e lockstep.Event) {
			stored, err := j.Events(t.Context(), e.Run, e.Seq-1)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(stored) == 0 {
				t.Errorf("told of event %d, and it is not in the journal: %v", e.Seq, err)
			}
			told[e.Seq]++
		},
	})
	t.Cleanup(a.Close)
	r := run(t, a, lockstep.Request{Operation: lockstep.OperationBackup})
	a.Close()
	mu.Lock()
	defer mu.Unlock()
	for seq := range r.Seq {
		if told[seq+1] != 1 {
			t.Errorf("told of event %d %d times", seq+1, told[seq+1])
		}
	}
}
