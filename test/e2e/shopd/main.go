// Command shopd is the software of the sample deployment: the web front, the
// blob server, and what scripts use to talk to them.
//
//	shopd web -db ADDR -redis ADDR -blobs ADDR -state FILE   serve orders
//	shopd blobs -dir DIR                                     serve files
//	shopd ctl URL VERB                                       POST URL/VERB
//	shopd wait-closed URL SECONDS                            until a front is closed
//
// An order is a number. A front writes it to the database, then to redis, then
// to the blobs, while its gate is open; closing the gate waits for orders that
// are being written. So whenever all gates are closed, the three stores hold
// the same orders.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shopd:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch {
	case verb == "web":
		return web(args[1:])
	case verb == "blobs":
		return blobs(args[1:])
	case verb == "ctl" && len(args) == 3:
		_, err := call(http.MethodPost, args[1]+"/"+args[2])
		return err
	case verb == "wait-closed" && len(args) == 3:
		return waitClosed(args[1], args[2])
	}
	return fmt.Errorf("usage: shopd web|blobs|ctl|wait-closed …")
}

// client does not keep connections: servers are rebooted under it.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func call(method, url string) (string, error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

func waitClosed(url, seconds string) error {
	n, err := strconv.Atoi(seconds)
	if err != nil {
		return err
	}
	last := ""
	for end := time.Now().Add(time.Duration(n) * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		state, err := call(http.MethodGet, url+"/state")
		if err == nil && state == "closed" {
			return nil
		}
		last = fmt.Sprintf("%q, %v", state, err)
	}
	return fmt.Errorf("%s is not closed after %s s: %s", url, seconds, last)
}
