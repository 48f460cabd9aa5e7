package main

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// blobs serves a folder: POST /orders/N writes DIR/orders/N, whole or not at
// all.
func blobs(args []string) error {
	flags := flag.NewFlagSet("blobs", flag.ContinueOnError)
	listen := flags.String("listen", ":8081", "ADDR to serve on")
	dir := flags.String("dir", "", "DIR of the blobs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err == nil {
			err = put(filepath.Join(*dir, "orders"), strconv.Itoa(n))
		}
		answer(w, err)
	})
	return http.ListenAndServe(*listen, mux)
}

func put(dir, name string) error {
	temp := filepath.Join(filepath.Dir(dir), ".new-"+name)
	if err := os.WriteFile(temp, []byte("order "+name+"\n"), 0o640); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, name))
}
