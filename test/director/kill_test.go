package director

import "testing"

func TestARunThatWasKilledIsRecoveredAndItsUsersRemoved(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"pre-backup-lock", "backup", "post-backup-unlock"} {
		for _, command := range []string{"recover", "cleanup", "backup"} {
			t.Run(at+" then "+command, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				first, second := s.database("uuid-0", 0, "zero"), s.database("uuid-1", 1, "one")
				s.director.Deploy("cf", "", first, second)
				s.configure()
				text := map[string]string{"pre-backup-lock": "touch locked", "backup": `cp data "$BBR_ARTIFACT_DIRECTORY"data`, "post-backup-unlock": "rm -f locked"}[at]
				s.script(second, at, "test -e once || { touch once; sleep 2; }; "+text)
				p := s.lockstep("backup", "prod")
				eventually(t, at+" runs", func() bool { return has(second, "once") })
				p.kill()
				if len(first.Users()) != 1 || len(second.Users()) != 1 {
					t.Errorf("users before: %q, %q", first.Users(), second.Users())
				}
				s.must(command, "prod")
				spotless(t, first, second)
			})
		}
	}
}

func TestARunThatWasKilledWhileUsersAreMadeIsRecovered(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.database("uuid-0", 0, "zero")
	s.director.Deploy("cf", "", first)
	s.configure()
	asked, kill := s.stopAt(" /deployments/cf/ssh")
	p := s.lockstep("backup", "prod")
	<-asked
	p.kill()
	kill()
	eventually(t, "the director makes the user all the same", func() bool { return len(first.Users()) == 1 })
	s.must("recover", "prod")
	spotless(t, first)
}
