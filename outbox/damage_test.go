package outbox

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// onDisk changes rows without their triggers, as a disk does.
func (w *world) onDisk(change string) {
	w.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "lockstep.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	var do, again []string
	for _, trigger := range []string{"state_notices_changed", "state_deliveries_changed"} {
		var text string
		if err := db.QueryRow(`SELECT sql FROM sqlite_master WHERE name = ?`, trigger).Scan(&text); err != nil {
			w.t.Fatal(err)
		}
		do, again = append(do, `DROP TRIGGER `+trigger), append(again, text)
	}
	for _, x := range slices.Concat(do, []string{change}, again) {
		if _, err := db.Exec(x); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A notice that a disk changed is neither sent as it is nor missing in silence,
// and keeps no other from being told, whichever of its columns it is. What the
// journal still says is told anew.
//
//fault:notice-flip a bit is flipped in a notice or in its delivery | it is not sent as it is; the receivers are told that one was lost, and all others are delivered
func TestRun_TellsOfNoticesThatADiskChanged(t *testing.T) {
	for _, change := range []string{
		`UPDATE state_notices SET body = CAST(replace(CAST(body AS TEXT), 'ntc_', 'ntd_') AS BLOB) WHERE n = 1`,
		`UPDATE state_notices SET body = x'7b' WHERE n = 1`,
		`UPDATE state_notices SET dedup = 'another' WHERE n = 1`,
		`UPDATE state_deliveries SET receiver = 'hood' WHERE n = 1`,
		`UPDATE state_deliveries SET state = 'pendinG' WHERE n = 1`,
		`UPDATE state_deliveries SET state = 'delivered' WHERE n = 1`,
		`UPDATE state_deliveries SET next_try = next_try + 1 WHERE n = 1`,
	} {
		t.Run(change, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.hook.set(func() error { return errors.New("down") })
				_, stop := w.run()
				time.Sleep(time.Second)
				w.service.end(w.service.open("blog"), good)
				w.service.end(w.service.open("shop"), bad)
				time.Sleep(2 * DefaultLookEvery)
				stop()
				w.onDisk(change)
				w.hook.set(nil)
				_, stop = w.run()
				time.Sleep(4 * time.Minute)
				stop()
				same(t, "told", []string{"damaged ", "failed shop", "started blog", "started shop", "succeeded blog"}, slices.Sorted(slices.Values(w.hook.told())))
			})
		})
	}
}
