package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// remoteMagic are the kinds of file systems, by their magic number, that
// several hosts may have mounted at once.
var remoteMagic = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xfe534d42: "smb2",
	0xff534d42: "cifs",
	0x00c36400: "ceph",
	0x01021997: "9p",
	0x5346414f: "afs",
	0x6b414653: "kafs",
	0x73757245: "coda",
	0x564c:     "ncp",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x20030528: "orangefs",
	0x7461636f: "ocfs2",
	0x01161970: "gfs2",
}

// fuseMagic is that of every file system in user space: the mount table knows
// which it is.
const fuseMagic = 0x65735546

// remoteFuse are the FUSE file systems that lie on other hosts.
var remoteFuse = []string{
	"sshfs", "rclone", "s3fs", "gcsfuse", "goofys", "glusterfs", "ceph", "davfs", "curlftpfs", "smbnetfs", "juicefs",
	"moosefs", "mfs", "seaweedfs", "blobfuse", "mountpoint-s3", "nfs",
}

// remoteFilesystem names the network file system that dir is on, "" for a
// local one.
func remoteFilesystem(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("ask for its file system: %w", err)
	}
	return classify(uint32(st.Type), func() string { return mountType(dir) }), nil
}

// classify decides by the magic number, and by the mount's type for FUSE.
func classify(magic uint32, mountType func() string) string {
	if magic != fuseMagic {
		return remoteMagic[magic]
	}
	kind := mountType()
	for _, name := range remoteFuse {
		if strings.HasPrefix(strings.TrimPrefix(kind, "fuse."), name) {
			return kind
		}
	}
	return ""
}

// mountType is the type of the mount that holds dir, such as "fuse.sshfs", ""
// if it cannot be found out.
func mountType(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	dev := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); ok && len(fields) > 2 && fields[2] == dev {
			kind, _, _ := strings.Cut(after, " ")
			return kind
		}
	}
	return ""
}
