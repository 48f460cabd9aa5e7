package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// books are the shop's data: on the instance of blobstore a file for each
// order, on that of postgres a row about it, with the file's name and SHA-256.
type books struct{ deployment *sample }

// Folders and files of the data, in the instances' folders.
const (
	tablesDir   = "data/tables"
	blobsDir    = "data/blobs"
	ordersTable = "orders.tsv"
)

// betweenWrites is the moment in which an order has a blob and no row.
const betweenWrites = 2 * time.Millisecond

// begin makes the data of a shop that has sold nothing yet, with what makes
// copying hard.
func (b books) begin() error {
	tables, blobs := b.deployment.db.path(tablesDir), b.deployment.blobs.path(blobsDir)
	for _, dir := range []string{tables, filepath.Join(blobs, "orders"), filepath.Join(blobs, "empty", "and empty")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"catalog":               strings.Repeat("all that we sell\n", 20_000),
		"empty file":            "",
		" a blank, and\na line": "names like this one exist\n",
		"\"quoted\" $HOME * '":  "and like this\n",
	} {
		if err := os.WriteFile(filepath.Join(blobs, name), []byte(content), 0o640); err != nil {
			return err
		}
	}
	// A name that is not UTF-8. Some file systems refuse it.
	err := os.WriteFile(filepath.Join(blobs, "caf\xe9"), []byte("latin-1\n"), 0o600)
	if err != nil && !errors.Is(err, syscall.EILSEQ) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return errors.Join(
		os.Symlink("nowhere at all", filepath.Join(blobs, "dangling")),
		os.WriteFile(filepath.Join(tables, ordersTable), nil, 0o600),
	)
}

// blobName is where the blob of an order lies, in the folder of blobs.
func blobName(n int64) string {
	shelf := fmt.Sprintf("orders/%02d", n%20)
	switch {
	case n%7 == 0:
		return fmt.Sprintf("%s/order %d, gift wrapped", shelf, n)
	case n%11 == 0:
		return fmt.Sprintf("%s/order\n%d", shelf, n)
	}
	return fmt.Sprintf("%s/order-%d", shelf, n)
}

// blobContent is some bytes to some KiB.
func blobContent(n int64) []byte {
	text := fmt.Sprintf("order %d: %d pieces\n", n, n*7919%97)
	return bytes.Repeat([]byte(text), int(1+n*31%200))
}

// enter writes down an order: a blob, with a second name (a hard link) in the
// folder of its customer and "latest" leading to it, and then a row.
func (b books) enter(n int64) error {
	blobs := b.deployment.blobs.path(blobsDir)
	name, content := blobName(n), blobContent(n)
	file := filepath.Join(blobs, name)
	customer := filepath.Join(blobs, "customers", strconv.FormatInt(n%10, 10))
	for _, dir := range []string{filepath.Dir(file), customer} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := errors.Join(b.deployment.blobs.writable(), os.WriteFile(file, content, 0o644)); err != nil {
		return err
	}
	if err := os.Link(file, filepath.Join(customer, strconv.FormatInt(n, 10))); err != nil {
		return err
	}
	temporary := filepath.Join(blobs, fmt.Sprintf(".latest-%d", n))
	if err := os.Symlink(name, temporary); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(blobs, "latest")); err != nil {
		return err
	}
	time.Sleep(betweenWrites)
	sum := sha256.Sum256(content)
	return b.addRow(fmt.Sprintf("%d\t%x\t%q\n", n, sum, name))
}

func (b books) addRow(row string) error {
	if err := b.deployment.db.writable(); err != nil {
		return err
	}
	f, err := os.OpenFile(b.deployment.db.path(tablesDir, ordersTable), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(row)
	return errors.Join(err, f.Close())
}

// writable is an error while the instance's job is locked: then nobody may
// write, and the web servers' locks should have seen to it.
func (i *instance) writable() error {
	if i.has("read-only") {
		return fmt.Errorf("%s was written to while it was locked", i.name())
	}
	return nil
}

// consistent checks that rows and blobs are of one moment: the orders from 1 to
// some number, each with its row and its blob. It returns that number.
func (b books) consistent() (int64, error) {
	rows, err := b.rows()
	if err != nil {
		return 0, err
	}
	blobs := b.deployment.blobs.path(blobsDir)
	var wrong []error
	for n := range int64(len(rows)) {
		r, ok := rows[n+1]
		if !ok {
			return 0, fmt.Errorf("there are %d rows, and none of order %d", len(rows), n+1)
		}
		sum, err := sumOfFile(filepath.Join(blobs, r.name))
		if err != nil || hex.EncodeToString(sum[:]) != r.sum {
			wrong = append(wrong, fmt.Errorf("order %d has a row, and its blob %q is not as it was (%v)", n+1, r.name, err)) //nolint:errorlint // there may be none
		}
	}
	extra, err := b.blobsWithoutRows(rows)
	return int64(len(rows)), errors.Join(append(wrong, err, extra)...)
}

type orderRow struct{ name, sum string }

func (b books) rows() (map[int64]orderRow, error) {
	data, err := os.ReadFile(b.deployment.db.path(tablesDir, ordersTable))
	if err != nil {
		return nil, err
	}
	rows := map[int64]orderRow{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 || !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("the table has half a row: %q", line)
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		name, err2 := strconv.Unquote(fields[2])
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("the table has the row %q: %w", line, err)
		}
		rows[n] = orderRow{name: name, sum: fields[1]}
	}
	return rows, nil
}

// blobsWithoutRows is the first error while looking, and an error of each blob
// of an order that has no row.
func (b books) blobsWithoutRows(rows map[int64]orderRow) (extra, err error) {
	known := map[string]bool{}
	for _, r := range rows {
		known[r.name] = true
	}
	blobs := b.deployment.blobs.path(blobsDir)
	var names []string
	err = filepath.WalkDir(filepath.Join(blobs, "orders"), func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(blobs, file)
		if !known[name] {
			names = append(names, strconv.Quote(name))
		}
		return err
	})
	if len(names) > 0 {
		slices.Sort(names)
		extra = fmt.Errorf("blobs of orders that have no row: %s", strings.Join(names, ", "))
	}
	return extra, err
}
