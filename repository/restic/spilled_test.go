package restic

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/spill"
)

// TestNoRoomForTheLinksOfAnArtifact: the reason is that, not an archive that is cut off.
//
//fault:list-put-no-room the folder for temporary files is full while the links of an artifact are listed | the artifact fails and names the folder; nobody is told that its archive is cut off
func TestNoRoomForTheLinksOfAnArtifact(t *testing.T) {
	t.Parallel()
	var members []repositorytest.Member
	for i := range 12_000 {
		members = append(members, repositorytest.Member{Name: fmt.Sprintf("%06d%s", i*7919%12_000, strings.Repeat("n", 200)), SymLink: "x"})
	}
	stream := repositorytest.Tar(t, members...)
	r := open(t)
	v, err := r.Vault(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCutter(v.ChunkKey())
	if err != nil {
		t.Fatal(err)
	}
	missing := t.TempDir() + "/none"
	session := v.Session()
	put := r.newTransfer(t.Context(), session, spill.NewPool(spill.MinBudget/16, missing))
	defer put.end()
	_, _, _, err = put.run(bytes.NewReader(stream), c, &contentWriter{ctx: put.ctx, session: session, cutter: c})
	if !errors.Is(err, spill.ErrSpill) || errors.Is(err, repository.ErrTar) || !strings.Contains(lockstep.HintOf(err), missing) {
		t.Errorf("%v; %s", err, lockstep.HintOf(err))
	}
}
