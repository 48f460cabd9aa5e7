package serve

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// trustedListener reports whether whoever listens on that port of this host may
// have what is in the file: they are the file's owner, or root. Any user can
// listen on a port while the server is down, and would be sent its token.
func trustedListener(port, file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	n, err := strconv.ParseUint(port, 10, 16)
	if !ok || err != nil {
		return false
	}
	found := false
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, uid := range listeners(table, n) {
			if uid != uint64(owner.Uid) && uid != 0 {
				return false
			}
			found = true
		}
	}
	return found
}

// listeners are the users that listen on a port, whatever the address.
func listeners(table string, port uint64) []uint64 {
	const listening = "0A"
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var uids []uint64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid …
		words := strings.Fields(lines.Text())
		if len(words) < 8 || words[3] != listening {
			continue
		}
		_, at, _ := strings.Cut(words[1], ":")
		if n, err := strconv.ParseUint(at, 16, 16); err != nil || n != port {
			continue
		}
		if uid, err := strconv.ParseUint(words[7], 10, 32); err == nil {
			uids = append(uids, uid)
		}
	}
	return uids
}
