package bbr

import (
	"testing"
	"time"

	"lockstep"
)

func TestLeaseOfTheEnvironment(t *testing.T) {
	t.Parallel()
	usual := lockstep.BBRPolicy().Lease
	for text, want := range map[string]time.Duration{"": usual, "10s": 10 * time.Second, "1h": time.Hour, "9s": usual, "soon": usual, "-1h": usual} {
		got, err := leaseFrom(func(string) (string, bool) { return text, true })
		if got != want || (err != nil) != (text != "" && want == usual) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
		p := lockstep.BBRPolicy()
		setLease(&p, got)
		if p.Lease != want || p.RenewEvery > want/4 || p.LeaseWaveGap > want/4 {
			t.Errorf("%q: %+v", text, p)
		}
		if grace := userGrace(func(string) (string, bool) { return text, true }); grace <= want {
			t.Errorf("%q: users stay %s, locks %s", text, grace, want)
		}
	}
}
