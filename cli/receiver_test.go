package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// receiver runs `receiver NAME`: a web server that appends what it is sent to
// the file NAME, a line each, and makes NAME.N of the Nth one that is not a test.
// Its address is in NAME.url.
func receiver(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = appendLine(path, body)
		}
		if err == nil && !strings.Contains(string(body), "lockstep.test") {
			n++
			err = os.WriteFile(fmt.Sprintf("%s.%d", path, n), body, 0o600)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	ts.Defer(server.Close)
	ts.Check(os.WriteFile(path+".url", []byte(server.URL+"/hook"), 0o600))
}

func appendLine(path string, line []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return err
}
