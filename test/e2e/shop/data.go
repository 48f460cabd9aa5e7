package shop

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lockstep/test/e2e/instances"
)

// Goods is how many rows the database has beside the orders.
const Goods = 20000

// blobDir is the live tree on the store.
const blobDir = instances.Store + "/shop/blobs"

// fill makes the data that the shop begins with.
func (s *Shop) fill(ctx context.Context, bigMiB int) error {
	sql := fmt.Sprintf(`CREATE TABLE orders (n int PRIMARY KEY);
		CREATE TABLE goods AS SELECT i, md5(i::text) AS name, E'with ''quotes'', a tab\t and a\nnew line' AS note FROM generate_series(1, %d) i;`, Goods)
	if err := s.SQL(ctx, "postgres", "CREATE DATABASE shop", nil); err != nil {
		return err
	}
	if err := s.SQL(ctx, "shop", sql, nil); err != nil {
		return err
	}
	if _, err := s.Store.Sh(ctx, "redis-cli set motto 'more is more' >/dev/null; mkdir -p /var/vcap/store/bucket/live; echo pearl >/var/vcap/store/bucket/live/oyster"); err != nil {
		return err
	}
	if err := makeTree(filepath.Join(s.Store.Path(blobDir), "tree")); err != nil {
		return fmt.Errorf("make a tree: %w", err)
	}
	if bigMiB == 0 {
		return nil
	}
	big, err := os.Create(filepath.Join(s.Store.Path(blobDir), "big"))
	if err != nil {
		return err
	}
	defer big.Close()
	_, err = io.CopyN(big, rand.Reader, int64(bigMiB)<<20)
	return err
}

// SQL runs SQL in a database and puts the lines that it answers into lines.
func (s *Shop) SQL(ctx context.Context, database, sql string, lines *[]string) error {
	cmd := s.DB.Command(ctx, s.Kit.pgbin+"/psql", "-h", "127.0.0.1", "-U", "postgres", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql, database)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("psql: %w: %s", err, stderr.String())
	}
	if lines != nil {
		*lines = strings.Fields(string(out))
	}
	return nil
}

// Orders are the orders that each store holds, sorted.
type Orders struct{ DB, Redis, Blobs []int }

// Orders asks the stores themselves.
func (s *Shop) Orders(ctx context.Context) (Orders, error) {
	var o Orders
	var lines []string
	if err := s.SQL(ctx, "shop", "SELECT n FROM orders", &lines); err != nil {
		return o, err
	}
	var err error
	if o.DB, err = numbers(lines); err != nil {
		return o, err
	}
	text, err := s.Store.Sh(ctx, "redis-cli smembers orders")
	if err != nil {
		return o, err
	}
	if o.Redis, err = numbers(strings.Fields(text)); err != nil {
		return o, err
	}
	files, err := os.ReadDir(s.Store.Path(blobDir + "/orders"))
	if err != nil {
		return o, err
	}
	for _, f := range files {
		n, err := strconv.Atoi(f.Name())
		if err != nil {
			return o, fmt.Errorf("a blob that is not an order: %q", f.Name())
		}
		data, err := os.ReadFile(s.Store.Path(blobDir + "/orders/" + f.Name()))
		if err != nil || string(data) != fmt.Sprintf("order %d\n", n) {
			return o, fmt.Errorf("blob %d is %q, %v", n, data, err) //nolint:errorlint // there may be none
		}
		o.Blobs = append(o.Blobs, n)
	}
	slices.Sort(o.Blobs)
	return o, nil
}

func numbers(words []string) ([]int, error) {
	var out []int
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// Point is the n of one consistent point: every store holds the orders 1 to n
// and no other. The error says which store holds what another should have.
func (o Orders) Point() (int, error) {
	n := len(o.DB)
	for _, s := range []struct {
		name   string
		orders []int
	}{{"postgres", o.DB}, {"redis", o.Redis}, {"blobs", o.Blobs}} {
		if len(s.orders) != n || n > 0 && (s.orders[0] != 1 || s.orders[n-1] != n) {
			return 0, fmt.Errorf("no consistent point: postgres has %s, %s has %s", span(o.DB), s.name, span(s.orders))
		}
	}
	return n, nil
}

func span(orders []int) string {
	if len(orders) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d orders from %d to %d", len(orders), orders[0], orders[len(orders)-1])
}

// Wipe destroys all data of the shop.
func (s *Shop) Wipe(ctx context.Context) error {
	if err := s.SQL(ctx, "postgres", "DROP DATABASE IF EXISTS shop WITH (FORCE)", nil); err != nil {
		return err
	}
	_, err := s.Store.Sh(ctx, "redis-cli flushall >/dev/null; rm -rf /var/vcap/store/redis/dump.rdb /var/vcap/store/bucket/live /var/vcap/store/shop/blobs/*")
	return err
}
