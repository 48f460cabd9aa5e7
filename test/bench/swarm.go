package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"lockstep/internal/sshtest"
)

// swarms is very many small instances: it must complete, take time in
// proportion to their number, and little memory.
func swarms(b *bench) error {
	var per []float64 // milliseconds for each instance
	for _, n := range b.swarms {
		took, d, err := b.swarm(n)
		if err != nil {
			return fmt.Errorf("%d instances: %w", n, err)
		}
		per = append(per, 1000*took/float64(n))
		limit := 100.0
		if n >= 1000 {
			limit = 256
		}
		title := fmt.Sprintf("%d instances in another process", n)
		b.rows = append(b.rows,
			row{Case: title + ": backup", Unit: "s", Ours: []float64{took}, Kind: valueOnly},
			d.memory(title, limit))
	}
	last := len(b.swarms) - 1
	b.rows = append(b.rows, row{
		Case: fmt.Sprintf("time for each of %d / of %d instances", b.swarms[last], b.swarms[0]), Unit: "ms",
		Ours: per[last:], Reference: per[:1], Limit: 1.5, Kind: ratioAtMost,
	})
	return nil
}

func (b *bench) swarm(n int) (float64, *deployment, error) {
	mark := len(b.closers)
	defer b.closeDownTo(mark)
	dir, err := b.folder("swarm")
	if err != nil {
		return 0, nil, err
	}
	var addrs []string
	if err := b.helper(&addrs, "swarm", "-n", fmt.Sprint(n), "-dir", dir, "-keys", filepath.Dir(b.keys.user)); err != nil {
		return 0, nil, err
	}
	known := filepath.Join(dir, "known_hosts")
	if err := writeKnown(known, b.keys.hostPublic, addrs...); err != nil {
		return 0, nil, err
	}
	d, err := b.deploy(dir, place{ssh: "user: bench, sudo: false, known_hosts: " + known}, addrs)
	if err != nil {
		return 0, nil, err
	}
	took, _, err := d.backup()
	return took, d, err
}

// writeKnown writes a known_hosts file: one key for all addresses.
func writeKnown(file, key string, addrs ...string) error {
	var text strings.Builder
	for _, addr := range addrs {
		host, port, ok := cutAddr(addr)
		if !ok {
			return fmt.Errorf("address %q is not HOST:PORT", addr)
		}
		fmt.Fprintf(&text, "[%s]:%s %s\n", host, port, key)
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

// swarmMain is a helper that is n instances.
func swarmMain(args []string) error {
	flags := flag.NewFlagSet("swarm", flag.ContinueOnError)
	n := flags.Int("n", 10, "instances")
	dir := flags.String("dir", "", "their folders")
	keyDir := flags.String("keys", "", "user.pub and host")
	if err := flags.Parse(args); err != nil {
		return err
	}
	user, err := readPublic(filepath.Join(*keyDir, "user.pub"))
	if err != nil {
		return err
	}
	private, err := os.ReadFile(filepath.Join(*keyDir, "host"))
	if err != nil {
		return err
	}
	host, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return err
	}
	var addrs []string
	for i := range *n {
		root := filepath.Join(*dir, fmt.Sprint("instance-", i))
		if err := firstOf(os.Mkdir(root, 0o755), furnish(root, root, 4<<10)); err != nil {
			return err
		}
		s, err := sshtest.Start(sshtest.Config{
			Dir: root, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root},
			HostKeys: []ssh.Signer{host}, AuthorizedKeys: []ssh.PublicKey{user},
		})
		if err != nil {
			return err
		}
		defer s.Close()
		addrs = append(addrs, s.Addr())
	}
	return say(addrs)
}

func readPublic(file string) (ssh.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	return key, err
}
