package sqlite

import (
	"os"
	"testing"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		magic uint32
		mount string
		want  string
	}{
		{0xef53, "", ""},     // ext4
		{0x01021994, "", ""}, // tmpfs
		{0x794c7630, "", ""}, // overlayfs
		{0x6969, "", "nfs"},
		{0xff534d42, "", "cifs"},
		{0xfe534d42, "", "smb2"},
		{0x01021997, "", "9p"},
		{fuseMagic, "fuse.sshfs", "fuse.sshfs"},
		{fuseMagic, "fuse.rclone", "fuse.rclone"},
		{fuseMagic, "fuse.gcsfuse", "fuse.gcsfuse"},
		{fuseMagic, "fuseblk", ""}, // a local disk
		{fuseMagic, "fuse.fuse-overlayfs", ""},
		{fuseMagic, "virtiofs", ""},
		{fuseMagic, "", ""},
	} {
		if got := classify(c.magic, func() string { return c.mount }); got != c.want {
			t.Errorf("classify(%#x, %q) = %q, want %q", c.magic, c.mount, got, c.want)
		}
	}
}

func TestThisFilesystem(t *testing.T) {
	t.Parallel()
	if remote, err := remoteFilesystem(t.TempDir()); err != nil || remote != "" {
		t.Errorf("temporary folder: network file system %q, %v", remote, err)
	}
	if _, err := remoteFilesystem("/nowhere/at/all"); err == nil {
		t.Error("no folder: no error")
	}
	if got := mountType("/proc"); got != "proc" {
		if _, err := os.Stat("/proc/self/mountinfo"); err == nil {
			t.Errorf("mount type of /proc is %q", got)
		}
	}
}
