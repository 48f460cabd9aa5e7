//go:build pgtest

package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// With the tag pgtest each chapter has a database of its own in a real PostgreSQL, so
// that all of them are tried over it; test/postgres/run says where it is.
func init() {
	overPostgres = true
	stateSection = func() (string, error) {
		server := os.Getenv("LOCKSTEP_TEST_POSTGRES")
		if server == "" {
			return "", fmt.Errorf("LOCKSTEP_TEST_POSTGRES names no server: run the tests with test/postgres/run")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c, err := pgx.Connect(ctx, server)
		if err != nil {
			return "", err
		}
		defer c.Close(ctx)
		name := "chapter_" + strings.ToLower(rand.Text()[:12])
		if _, err := c.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8'"); err != nil {
			return "", err
		}
		return fmt.Sprintf("state: {postgres: {url: %q}}\n", strings.Replace(server, "/postgres?", "/"+name+"?", 1)), nil
	}
}
