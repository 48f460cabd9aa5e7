package demo

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestDemoBooks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(b books) error
		want  string
	}{
		"nothing": {func(books) error { return nil }, ""},
		"no row": {func(b books) error {
			file := b.deployment.db.path(tablesDir, ordersTable)
			rows, err := os.ReadFile(file)
			return errors.Join(err, os.WriteFile(file, bytes.Replace(rows, []byte("12\t"), []byte("13\t"), 1), 0o600))
		}, "none of order 12"},
		"half a row": {func(b books) error {
			return os.Truncate(b.deployment.db.path(tablesDir, ordersTable), 100)
		}, "half a row"},
		"no blob": {func(b books) error { return os.Remove(b.deployment.blobs.path(blobsDir, blobName(7))) },
			"order 7 has a row"},
		"another blob": {func(b books) error {
			return os.WriteFile(b.deployment.blobs.path(blobsDir, blobName(11)), nil, 0o644)
		}, "order 11 has a row"},
		"a blob too many": {func(b books) error {
			return os.WriteFile(b.deployment.blobs.path(blobsDir, blobName(8)+"a"), nil, 0o644)
		}, "blobs of orders that have no row"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSample(t.TempDir(), &servers{})
			for _, i := range s.instances {
				if err := i.inFolder(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.layOut(); err != nil {
				t.Fatal(err)
			}
			b := books{s}
			for n := range int64(12) {
				if err := b.enter(n + 1); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.spoil(b); err != nil {
				t.Fatal(err)
			}
			_, err := b.consistent()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
