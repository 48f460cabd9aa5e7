package bosh

import (
	"errors"
	"testing"

	"lockstep"
)

// FuzzAnswers reads anything as each of the answers of a director: it must not
// panic, and what it takes must be usable as names.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"job_name":"db","id":"a","index":0,"bootstrap":true,"IPs":["10.0.0.1"],"vm_cid":"vm-1"}` + "\n" + `{"job_name":"db","id":"b","index":null}`,
		`[{"status":"success","ip":"10.0.0.1:2222","host_public_key":"ssh-rsa AAAA","id":"a","index":67207977160200}]`,
		"instance_groups:\n- {name: db, jobs: [{name: db, release: shop, properties: {bbr: {backup_one_restore_all: true}}}]}\n",
		"jobs:\n- {name: db, templates: [{name: db, release: shop}], properties: {bbr: {backup_one_restore_all: 7}}}\n",
		"&a [*a]", "null", "[null]", "{}", "[[[", "\xff", `{"kind":"bosh","director":"h","deployment":"d","username":"u","locations":{}}`,
		"https://[::1]:25555/path", "h:1", "ssh+socks5://u@h:22?private-key=/k", "socks5://u:p@h:1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		vms, err := parseVMs(data)
		if err == nil {
			for _, vm := range vms {
				if err := errors.Join(lockstep.CheckName("group", vm.Group), lockstep.CheckName("id", vm.ID)); err != nil {
					t.Errorf("a VM is taken: %v", err)
				}
			}
		}
		_, _ = parseSSHHosts(data)
		_, _ = readManifest(string(data))
		_, _ = directorURL(string(data))
		_, _ = uaaURL(string(data))
		_, _ = certificates("BEGIN" + string(data))
		if s, err := FromReach(string(data), environment("BOSH_CLIENT_SECRET", "x"), nil); err == nil {
			if again, err := FromReach(s.Reach(), environment("BOSH_CLIENT_SECRET", "x"), nil); err != nil || again.Info() != s.Info() {
				t.Errorf("%s is not read again: %v", s.Reach(), err)
			}
		}
		p := newPins("", false, func(string, string) {})
		if w, err := newWay(string(data), environment(), p, NewJumpboxes()); err == nil {
			_ = w.Close()
		}
	})
}
