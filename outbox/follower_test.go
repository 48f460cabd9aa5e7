package outbox

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
)

// TestRun_TheLeadMovesToAndFro: two servers make and deliver notices in turns, each run
// ends under another one than it began under, and all is told once.
func TestRun_TheLeadMovesToAndFro(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		servers := []*Outbox{New(w.cfg), New(w.cfg)}
		var want []string
		var open lockstep.RunID
		for turn := range 9 {
			ctx, end := context.WithTimeout(t.Context(), 10*time.Minute)
			go func() {
				time.Sleep(5 * time.Minute)
				if open != "" {
					w.service.end(open, good)
					want = append(want, "succeeded shop")
				}
				open = w.service.open("shop")
				want = append(want, "started shop")
			}()
			servers[turn%2].Run(ctx)
			end()
			synctest.Wait()
			time.Sleep(2 * time.Second)
		}
		got := w.hook.told()
		slices.Sort(got)
		slices.Sort(want)
		same(t, "told", want, got)
	})
}

// TestRun_WhoIsCutOffWhileItSends: what a leader has sent, and could not note as sent, the
// next one sends again, under the same id.
//
//fault:notice-cut-off the leader is cut off from its database after it has sent a notice | the next leader sends it again, with the same id
func TestRun_WhoIsCutOffWhileItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		_, stop := w.run() // what ended before an outbox first looked is not news
		time.Sleep(time.Second)
		stop()
		w.service.end(w.service.open("shop"), bad)
		healthy := w.cfg
		cut := &crashing{Store: w.store}
		cut.left.Store(1000)
		w.hook.set(func() error { cut.left.Store(0); return nil }) // from the first notice on
		w.cfg.Store = cut
		_, stop = w.run()
		time.Sleep(time.Minute)
		w.hook.set(nil)
		w.cfg = healthy
		_, stopNext := w.run() // beside it: it has not heard yet that another one leads
		time.Sleep(time.Minute)
		stop()
		stopNext()
		times := map[string]int{}
		for _, n := range w.hook.got {
			times[n.ID]++
		}
		again := 0
		for _, n := range times {
			again += n - 1
		}
		if told := w.hook.told(); len(times) != 2 || again == 0 || !slices.Contains(told, "started shop") || !slices.Contains(told, "failed shop") {
			t.Errorf("told %q under %d ids", told, len(times))
		}
	})
}
