//go:build !linux

package bbr

import "os"

// allocated is the size of a file.
func allocated(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
