package file

import (
	"testing"
	"time"

	"lockstep/repository/restic/store/storetest"
)

// TestARetainingStoreOfTests: the one that other tests use keeps the contract that the
// service's does.
func TestARetainingStoreOfTests(t *testing.T) {
	var last *storetest.Retaining
	storetest.RunRetaining(t, func(t *testing.T) storetest.RetainingStore {
		s, err := At(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		last = storetest.NewRetaining(s, time.Hour)
		return last
	}, time.Now, func(until time.Time) { last.Wait(until) })
}
