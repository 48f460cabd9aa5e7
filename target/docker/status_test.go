package docker_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"

	"lockstep/target"
	"lockstep/target/docker"
)

// mute is an engine whose streams end without an exit status: with what they say
// last, and with what it says of the process then. A nil inspect is not an answer.
func mute(t *testing.T, says string, inspect map[string]any) *docker.Target {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.44") })
	mux.HandleFunc("POST /{version}/containers/x/exec", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{"Id": "one"})
	})
	mux.HandleFunc("POST /{version}/exec/one/start", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		if says != "" {
			header := [8]byte{byte(stdcopy.Stdout), 7: byte(len(says))}
			_, _ = c.Write(append(header[:], says...))
		}
		_ = c.Close()
	})
	mux.HandleFunc("GET /{version}/exec/one/json", func(w http.ResponseWriter, _ *http.Request) {
		if inspect == nil {
			http.Error(w, `{"message":"no such exec"}`, http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(inspect)
	})
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: mux}}
	server.Start()
	t.Cleanup(server.Close)
	e, err := docker.Open(docker.Config{Host: "unix://" + socket}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e.Container("x", "0")
}

// TestStreamWithoutAStatus: whether a command may have run the engine must say. Where
// none has, its last words are the engine's, and told; else they are data.
func TestStreamWithoutAStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says    string
		inspect map[string]any
		want    error
		told    bool
	}{
		"there was no process":         {"OCI runtime exec failed", map[string]any{"ID": "one", "Running": false, "Pid": 0}, target.ErrNotStarted, true},
		"no process, and nothing said": {"", map[string]any{"ID": "one", "Running": false, "Pid": 0}, target.ErrNotStarted, false},
		"there was one":                {"a secret", map[string]any{"ID": "one", "Running": false, "Pid": 7}, target.ErrLost, false},
		"there is one":                 {"a secret", map[string]any{"ID": "one", "Running": true, "Pid": 0}, target.ErrLost, false},
		"nobody knows":                 {"a secret", nil, target.ErrLost, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exit, err := mute(t, c.says, c.inspect).Run(t.Context(), "true", target.Streams{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "without an exit status") {
				t.Fatalf("got %v, %v; want %v", exit, err, c.want)
			}
			if told := c.says != "" && strings.Contains(err.Error(), c.says); told != c.told {
				t.Errorf("what was said last is told: %t, want %t: %v", told, c.told, err)
			}
		})
	}
}
