package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
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
	tables, blobs := b.deployment.db.files, b.deployment.blobs.files
	if err := errors.Join(tables.makeDir(tablesDir), blobs.makeDir(path.Join(blobsDir, "orders")), blobs.makeDir(path.Join(blobsDir, "empty", "and empty"))); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"catalog":               strings.Repeat("all that we sell\n", 20_000),
		"empty file":            "",
		" a blank, and\na line": "names like this one exist\n",
		"\"quoted\" $HOME * '":  "and like this\n",
	} {
		if err := blobs.write(path.Join(blobsDir, name), []byte(content), 0o640); err != nil {
			return err
		}
	}
	// A name that is not UTF-8. Some file systems refuse it.
	err := blobs.write(path.Join(blobsDir, "caf\xe9"), []byte("latin-1\n"), 0o600)
	if err != nil && !errors.Is(err, syscall.EILSEQ) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return errors.Join(
		blobs.symlink("nowhere at all", path.Join(blobsDir, "dangling")),
		tables.write(path.Join(tablesDir, ordersTable), nil, 0o600),
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
	blobs := b.deployment.blobs.files
	name, content := blobName(n), blobContent(n)
	file := path.Join(blobsDir, name)
	customer := path.Join(blobsDir, "customers", strconv.FormatInt(n%10, 10))
	for _, dir := range []string{path.Dir(file), customer} {
		if err := blobs.makeDir(dir); err != nil {
			return err
		}
	}
	if err := errors.Join(b.deployment.blobs.writable(), blobs.write(file, content, 0o644)); err != nil {
		return err
	}
	if err := blobs.link(file, path.Join(customer, strconv.FormatInt(n, 10))); err != nil {
		return err
	}
	temporary := path.Join(blobsDir, fmt.Sprintf(".latest-%d", n))
	if err := blobs.symlink(name, temporary); err != nil {
		return err
	}
	if err := blobs.move(temporary, path.Join(blobsDir, "latest")); err != nil {
		return err
	}
	time.Sleep(betweenWrites)
	return b.addRow(fmt.Sprintf("%d\t%x\t%q\n", n, sha256.Sum256(content), name))
}

func (b books) addRow(row string) error {
	if err := b.deployment.db.writable(); err != nil {
		return err
	}
	return b.deployment.db.files.extend(path.Join(tablesDir, ordersTable), row)
}

// writable is an error while the instance's job is locked: then nobody may
// write, and the web servers' locks should have seen to it.
func (i *instance) writable() error {
	if i.files.has("read-only") {
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
	blobs, err := b.deployment.blobs.files.tree(blobsDir)
	if err != nil {
		return 0, err
	}
	var wrong []error
	for n := range int64(len(rows)) {
		r, ok := rows[n+1]
		if !ok {
			return 0, fmt.Errorf("there are %d rows, and none of order %d", len(rows), n+1)
		}
		if blob, there := blobs[r.name]; !there || hex.EncodeToString(blob.sum[:]) != r.sum {
			wrong = append(wrong, fmt.Errorf("order %d has a row, and its blob %q is not as it was (there: %t)", n+1, r.name, there))
		}
	}
	return int64(len(rows)), errors.Join(append(wrong, blobsWithoutRows(blobs, rows))...)
}

type orderRow struct{ name, sum string }

func (b books) rows() (map[int64]orderRow, error) {
	data, err := b.deployment.db.files.read(path.Join(tablesDir, ordersTable))
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

// blobsWithoutRows is an error that names the blobs of orders that have no row.
func blobsWithoutRows(blobs tree, rows map[int64]orderRow) error {
	known := map[string]bool{}
	for _, r := range rows {
		known[r.name] = true
	}
	var names []string
	for name, node := range blobs {
		if node.kind != 'd' && strings.HasPrefix(name, "orders/") && !known[name] {
			names = append(names, strconv.Quote(name))
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return fmt.Errorf("blobs of orders that have no row: %s", strings.Join(names, ", "))
}
