// Command driver lets a repository/dir live, built over lossyos, and prints what
// it did to its files. Only the tests of test/writes build it so; as it is here
// there is nothing to print.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"strings"

	"lockstep"
	"lockstep/repository/dir"
	"lockstep/repository/repositorytest"
	"lockstep/test/writes/lossyos"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run keeps and deletes backups, and tells of each what its user is told.
func run(folder string) error {
	ctx := context.Background()
	r, err := dir.Open(folder)
	if err != nil {
		return err
	}
	lossyos.Begin(folder)
	for n := range 4 {
		id, err := r.Begin(ctx, lockstep.BackupID(fmt.Sprintf("shop_2026112%dT144241Z", n)))
		if err != nil {
			return err
		}
		var artifacts []lockstep.Artifact
		for _, name := range []string{"db-0-postgres", "web-0-web", "db-0-postgres"} { // one is put again
			data := sample(name, n)
			c, err := r.Put(ctx, id, name, bytes.NewReader(data))
			if err != nil {
				return err
			}
			a := lockstep.Artifact{Name: name, Slot: lockstep.Slot{Group: "g", Index: "0", Job: name}, Bytes: c.Bytes, Entries: c.Entries, Digest: c.Digest}
			if len(artifacts) < 2 {
				artifacts = append(artifacts, a)
			}
		}
		if err := r.Commit(ctx, repositorytest.Manifest(id, artifacts...)); err != nil {
			return err
		}
		lossyos.Acknowledge("kept " + string(id))
		if n%2 == 1 {
			lossyos.Acknowledge("deleting " + string(id))
			if err := r.Delete(ctx, id); err != nil {
				return err
			}
			lossyos.Acknowledge("deleted " + string(id))
		}
	}
	return gob.NewEncoder(os.Stdout).Encode(lossyos.Ops())
}

// sample is a tar with one file.
func sample(name string, n int) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	content := strings.Repeat(fmt.Sprint(name, n), 200*(n+1))
	_ = w.WriteHeader(&tar.Header{Name: "./", Mode: 0o755, Typeflag: tar.TypeDir, Format: tar.FormatPAX})
	_ = w.WriteHeader(&tar.Header{Name: "./data", Mode: 0o600, Size: int64(len(content)), Format: tar.FormatPAX})
	_, _ = w.Write([]byte(content))
	_ = w.Close() // into memory: nothing of it fails
	return b.Bytes()
}
