package launcher

import (
	"errors"
	"fmt"
	"testing"

	"lockstep"
	"lockstep/target"
)

func TestWhatARetryCannotMend(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("dial: %w", target.ErrNotStarted), false},
		{target.ErrLost, false},
		{errors.Join(target.ErrNotStarted, &lockstep.Error{Kind: lockstep.KindRefused, Op: "check the host key of db"}), true},
		{fmt.Errorf("start: %w", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "log in as ops"}), true},
		{&lockstep.Error{Op: "reach db"}, false},
		{permanent{errors.New("no such shell")}, true},
	} {
		if got := isPermanent(tc.err); got != tc.want {
			t.Errorf("%v: permanent %v", tc.err, got)
		}
	}
}
