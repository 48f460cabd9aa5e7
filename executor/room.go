package executor

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/launcher"
)

// What a run takes of the file system in which an instance notes what it runs,
// a small tmpfs as a rule: the session and the claim; each script, with the
// little output that is kept of it in any case and the spare records of an
// unlock. More output is kept only while there is more room.
const (
	roomForRun    int64 = 64 << 10
	roomForScript int64 = 40 << 10
	namesForRun   int64 = 32
	namesOfScript int64 = 24
)

// checkRoom refuses to begin where the scripts of the run could not be noted: an
// unlock whose end nobody can write down counts as not done.
func checkRoom(ctx context.Context, c *launcher.Client, t lockstep.Task) error {
	room, err := c.Room(ctx)
	if err != nil {
		return err
	}
	return enoughRoom(room, t)
}

func enoughRoom(room launcher.Room, t lockstep.Task) error {
	bytes, names := roomForRun, namesForRun
	for _, stage := range []lockstep.Stage{lockstep.StageLock, lockstep.StageWork, lockstep.StageUnlock} {
		for _, s := range t.Plan.Steps(stage) {
			if s.Instance == t.Step.Instance && s.Script != nil {
				bytes, names = bytes+roomForScript, names+namesOfScript
			}
		}
	}
	if room.FreeBytes >= bytes && room.FreeNames >= names {
		return nil
	}
	free, need := size(room.FreeBytes), size(bytes)
	if room.FreeBytes >= bytes {
		free, need = fmt.Sprintf("%d files more", room.FreeNames), fmt.Sprintf("%d", names)
	}
	return &lockstep.Error{
		Op:   fmt.Sprintf("check the room for the records of the run on instance %s, in %s", t.Step.Instance, room.Dir),
		Err:  fmt.Errorf("%s will be needed, %s is free", need, free),
		Hint: "make room there (`df -h " + room.Dir + "` and `df -i " + room.Dir + "` on the instance show who has it), and begin again",
	}
}
