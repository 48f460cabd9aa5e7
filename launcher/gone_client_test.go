package launcher

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A client that is gone while a frame is written to it must not take the token
// of the session's frames, or the claim lock, with it: everybody after it would
// wait for ever.
func TestSessionWhoseClientIsGoneEnds(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"dash", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not here: not tested with it", shell)
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "launcher")
			if err := os.WriteFile(file, []byte(text()), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(shell, file, "serve", filepath.Join(dir, "run"), filepath.Join(dir, "lib"), "-", "-", shell)
			if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
				t.Fatal(err)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if hello, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatalf("hello: %q, %v", hello, err)
			}
			out.Close()
			for range 3 {
				if _, err := in.Write([]byte("1 status r s 1\n2 tools\n3 renew r 1 100\n4 ping\n")); err != nil {
					t.Fatalf("the session ended at the first frame that it could not write: %v", err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			in.Close()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				_ = cmd.Process.Kill()
				t.Fatal("the session waits for a token that nobody holds")
			}
		})
	}
}
