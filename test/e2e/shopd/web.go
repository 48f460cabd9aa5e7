package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
)

// front is the web server of one instance.
type front struct {
	db    *postgres
	redis *redis
	blobs string
	// state exists while the gate is closed, over reboots too.
	state string

	gate   sync.RWMutex // held for reading by each order being written
	closed bool
}

func web(args []string) error {
	flags := flag.NewFlagSet("web", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "ADDR to serve on")
	db := flags.String("db", "", "ADDR of PostgreSQL")
	cache := flags.String("redis", "", "ADDR of redis")
	blobs := flags.String("blobs", "", "URL of the blob server")
	state := flags.String("state", "", "FILE that says that the gate is closed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f := &front{db: &postgres{addr: *db}, redis: &redis{addr: *cache}, blobs: *blobs, state: *state}
	if _, err := os.Stat(f.state); err == nil {
		f.closed = true
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /state", f.tell)
	mux.HandleFunc("POST /close", f.close)
	mux.HandleFunc("POST /open", f.open)
	mux.HandleFunc("POST /orders/{n}", f.order)
	return http.ListenAndServe(*listen, mux)
}

func (f *front) tell(w http.ResponseWriter, _ *http.Request) {
	f.gate.RLock()
	defer f.gate.RUnlock()
	fmt.Fprintln(w, map[bool]string{true: "closed", false: "open"}[f.closed])
}

// close returns when no order is being written any more.
func (f *front) close(w http.ResponseWriter, _ *http.Request) {
	f.gate.Lock()
	defer f.gate.Unlock()
	f.closed = true
	answer(w, os.WriteFile(f.state, nil, 0o644))
}

func (f *front) open(w http.ResponseWriter, _ *http.Request) {
	f.gate.Lock()
	defer f.gate.Unlock()
	f.closed = false
	if err := os.Remove(f.state); !errors.Is(err, os.ErrNotExist) {
		answer(w, err)
	}
}

// order writes an order that may have been written before.
func (f *front) order(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.gate.RLock()
	defer f.gate.RUnlock()
	if f.closed {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	answer(w, f.write(n))
}

func (f *front) write(n int) error {
	if err := f.db.exec(fmt.Sprintf("INSERT INTO orders VALUES (%d) ON CONFLICT DO NOTHING", n)); err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	if err := f.redis.do("SADD", "orders", strconv.Itoa(n)); err != nil {
		return fmt.Errorf("write to redis: %w", err)
	}
	if _, err := call(http.MethodPost, f.blobs+"/orders/"+strconv.Itoa(n)); err != nil {
		return fmt.Errorf("write a blob: %w", err)
	}
	return nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
