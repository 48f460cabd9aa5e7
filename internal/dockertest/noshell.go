package dockertest

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// NoShell makes an image that has one program and nothing else, and gives its name. It
// goes with the test, after the containers of it.
func NoShell(t testing.TB) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "noshell")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "lockstep/internal/dockertest/noshell")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program of an image without a shell: %v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	for _, folder := range []string{"data/", "tmp/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "noshell", Mode: 0o755, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	name := Label(t) + "-noshell:" + strings.ToLower(rand.Text())
	if _, err := Try(t, image.String(), "import", "-", name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = Try(t, "", "rmi", "--force", name) })
	return name
}
