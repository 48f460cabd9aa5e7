package instances

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// furnish makes the disk.
func (in *Instance) furnish() error {
	system, store := filepath.Join(in.disk, "system"), filepath.Join(in.disk, "store")
	for _, dir := range []string{system, store, filepath.Join(system, "etc/ssh"), filepath.Join(system, "etc/sudoers.d"),
		filepath.Join(system, "home", User)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := hide(system); err != nil {
		return err
	}
	if err := in.mountStore(store); err != nil {
		return err
	}
	if err := os.Chown(filepath.Join(system, "home", User), 1999, 1999); err != nil {
		return err
	}
	if err := in.users(system); err != nil {
		return err
	}
	if err := in.NewHostKey(); err != nil {
		return err
	}
	if err := in.WriteSSHD(); err != nil {
		return err
	}
	if in.Furnish == nil {
		return nil
	}
	return in.Furnish(system, store)
}

// hide keeps what the machine itself may have of jobs and launchers out of its
// instances.
func hide(system string) error {
	jobs := filepath.Join(system, "var/vcap")
	if err := errors.Join(os.MkdirAll(jobs, 0o755), os.MkdirAll(filepath.Join(system, "var/lib"), 0o755)); err != nil {
		return err
	}
	if err := syscall.Setxattr(jobs, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("hide %s: %w", jobs, err)
	}
	return syscall.Mknod(filepath.Join(system, "var/lib/lockstep"), syscall.S_IFCHR, 0) // a whiteout
}

func (in *Instance) mountStore(dir string) error {
	size := in.StoreMiB
	if size == 0 {
		size = 1024
	}
	return syscall.Mount("store", dir, "tmpfs", 0, fmt.Sprintf("mode=755,size=%dm", size))
}

// users adds the user to the machine's own files.
func (in *Instance) users(system string) error {
	sudo := User + " ALL=(ALL) NOPASSWD: ALL\n"
	if in.SudoPassword {
		sudo = User + " ALL=(ALL) ALL\n"
	}
	for _, f := range []struct {
		path, line string
		mode       os.FileMode
		add        bool
	}{
		{"etc/passwd", User + ":x:1999:1999::/home/" + User + ":/bin/bash\n", 0o644, true},
		{"etc/group", User + ":x:1999:\n", 0o644, true},
		{"etc/shadow", User + ":*:19000:0:99999:7:::\n", 0o640, true},
		{"etc/hosts", "127.0.0.1 localhost " + in.Name + "\n", 0o644, false},
		{"etc/hostname", in.Name + "\n", 0o644, false},
		{"etc/sudoers.d/" + User, sudo, 0o440, false},
		{"etc/ssh/lab_authorized_keys", string(ssh.MarshalAuthorizedKey(in.lab.public)), 0o644, false},
	} {
		text := f.line
		if f.add {
			old, err := os.ReadFile("/" + f.path)
			if err != nil {
				return err
			}
			text = string(old) + text
		}
		if err := os.WriteFile(filepath.Join(system, f.path), []byte(text), f.mode); err != nil {
			return err
		}
	}
	return nil
}

// NewHostKey gives the instance another host key, in force at its next boot
// or ReloadSSHD.
func (in *Instance) NewHostKey() error {
	signer, err := newKey(filepath.Join(in.system(), "etc/ssh/lab_host_key"))
	if err != nil {
		return err
	}
	in.hostKey = signer.PublicKey()
	return nil
}

// WriteSSHD writes sshd_config anew, in force at the next boot or ReloadSSHD.
func (in *Instance) WriteSSHD() error {
	lines := append(append([]string{}, in.SSHD...),
		"HostKey /etc/ssh/lab_host_key",
		"AuthorizedKeysFile /etc/ssh/lab_authorized_keys",
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PidFile /run/sshd.pid",
		"LogLevel VERBOSE",
	)
	return os.WriteFile(filepath.Join(in.system(), "etc/ssh/lab_sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// system is the disk's layer over the root folder. It must be written to only
// while the instance is off, or through Path.
func (in *Instance) system() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.init != nil {
		return in.path("/")
	}
	return filepath.Join(in.disk, "system")
}

// ReloadSSHD makes sshd read its configuration and keys again; connections
// that are open stay.
func (in *Instance) ReloadSSHD(ctx context.Context) error {
	// For a moment after the signal nobody listens.
	_, err := in.Sh(ctx, `listens() { grep -c 'Server listening' /var/log/lab_sshd.log; }
n=$(listens)
kill -HUP "$(cat /run/sshd.pid)"
for i in $(seq 100); do
	[ "$(listens)" -le "$n" ] || exit 0
	sleep 0.1
done
echo sshd has not begun to listen again >&2
exit 1`)
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.up()
}
