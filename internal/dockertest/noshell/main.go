// Command noshell is all that is in an image without a shell: a service that keeps its
// data in /data. It is locked by SIGUSR1 and let go by SIGUSR2, and writes a line of
// /data/log of each; while it is locked, /data/locked is there.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 8)
	signal.Notify(told, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM)
	if err := serve(told); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(told <-chan os.Signal) error {
	log, err := os.OpenFile("/data/log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for s := range told {
		switch s {
		case syscall.SIGUSR1:
			_, err = fmt.Fprintln(log, "lock")
			if err == nil {
				err = os.WriteFile("/data/locked", nil, 0o600)
			}
		case syscall.SIGUSR2:
			_, err = fmt.Fprintln(log, "unlock")
			if err == nil {
				err = os.RemoveAll("/data/locked")
			}
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
