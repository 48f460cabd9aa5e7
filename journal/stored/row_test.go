package stored

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/journaltest"
)

func TestBigEventsShrink(t *testing.T) {
	t.Parallel()
	st := journaltest.NewStory("run-a", "key-a")
	opened, planned := st.Event(st.Opened(lockstep.OperationBackup)), st.Event(st.Planned(lockstep.OperationBackup, 3000))
	for _, want := range []lockstep.Event{opened, planned} {
		b, err := Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		switch big := len(plain) > compressAbove; {
		case big && len(b) > len(plain)/8:
			t.Errorf("%s of %d bytes is kept in %d", want.Data.EventType(), len(plain), len(b))
		case !big && !bytes.Equal(b, plain):
			t.Errorf("%s is not kept as it is: %q", want.Data.EventType(), b)
		}
		t.Logf("%s: %d bytes of JSON, %d kept", want.Data.EventType(), len(plain), len(b))
		got, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", want.Data.EventType(), diff)
		}
	}
}

// TestDecodeOfDamage: whatever a row holds, decoding does not panic, and says
// whether it is damaged or of a newer program.
func TestDecodeOfDamage(t *testing.T) {
	t.Parallel()
	st := journaltest.NewStory("run-a", "key-a")
	seeds := [][]byte{{}, {0x1f, 0x8b}, []byte(`{"v":2}`), []byte(`{"v":1,"type":"noted"}`)}
	for _, e := range append(st.Begun(lockstep.OperationBackup, 200), st.Ended(lockstep.RunFailedState)) {
		b, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		b := bytes.Clone(seeds[i%len(seeds)])
		for n := random.IntN(4); n > 0 && len(b) > 0; n-- {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		b = b[:len(b)-random.IntN(1+min(len(b), 3))]
		e, err := Decode(b)
		switch {
		case err == nil && e.Data == nil:
			t.Errorf("%q: an event without data and without an error", b)
		case err != nil && errors.Is(err, journal.ErrDamaged) == errors.Is(err, lockstep.ErrUnknownEvent):
			t.Errorf("%q: error %v is not exactly one of damaged and unknown", b, err)
		}
	}
}
