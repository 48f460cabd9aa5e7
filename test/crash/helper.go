package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lockstep/helper/helpertest"
)

// helperOverlay builds the helper as `make build` does, and puts it where it is built in:
// by an overlay, so that nothing is written among the sources.
func helperOverlay(dir string) (string, error) {
	file := filepath.Join(dir, "helper")
	if err := goBuild("-ldflags", "-s -w", "-o", file, "./cmd/lockstep-helper"); err != nil {
		return "", err
	}
	program, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	packed, err := helpertest.Pack(program)
	if err != nil {
		return "", err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	place, err := filepath.Abs(fmt.Sprintf("launcher/programs/lockstep-helper-%s.gz", unix.ByteSliceToString(u.Machine[:])))
	if err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {place: file + ".gz"}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	for name, b := range map[string][]byte{file + ".gz": packed, overlay: list} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			return "", err
		}
	}
	return overlay, nil
}
