package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"lockstep"
	"lockstep/config"
	"lockstep/repository"
	"lockstep/repository/dir"
	"lockstep/repository/restic"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/file"
	"lockstep/repository/restic/store/s3"
)

// repositoryOf is the repository that the configuration names. Nothing of it is
// read yet.
func repositoryOf(cfg *config.Config, getenv func(string) string) (repository.Repository, error) {
	c := cfg.Repository.Restic
	if c == nil {
		repo, err := dir.At(cfg.Repository.Dir)
		if err != nil {
			return nil, fmt.Errorf("open repository %s: %w", cfg.Repository.Dir, err)
		}
		return repo, nil
	}
	s, err := storeOf(c)
	if err != nil {
		return nil, err
	}
	return restic.New(restic.Options{Store: s, Password: func(ctx context.Context) (string, error) { return passwordOf(ctx, c, getenv) }}), nil
}

func storeOf(c *config.Restic) (store.Store, error) {
	if b := c.S3; b != nil {
		return s3.New(s3.Options{
			Endpoint: b.Endpoint, Insecure: b.Insecure, Bucket: b.Bucket, Prefix: b.Prefix,
			Region: b.Region, PathStyle: b.PathStyle, CredentialsFile: b.CredentialsFile,
		})
	}
	return file.At(c.Location)
}

// passwordTimeout bounds a command that gives a password.
const passwordTimeout = time.Minute

// passwordOf gets the repository's password from where the configuration says.
// Blanks and line ends around it do not count, as for stock restic.
func passwordOf(ctx context.Context, c *config.Restic, getenv func(string) string) (string, error) {
	from, b, err := "", []byte(nil), error(nil)
	switch {
	case c.PasswordFile != "":
		from = "file " + c.PasswordFile
		b, err = os.ReadFile(c.PasswordFile)
	case c.PasswordEnv != "":
		from, b = "environment variable "+c.PasswordEnv, []byte(getenv(c.PasswordEnv))
	default:
		from = "command " + c.PasswordCommand[0]
		b, err = commandOutput(ctx, c.PasswordCommand)
	}
	b = bytes.TrimSpace(b)
	if err == nil && len(b) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "read the repository's password from " + from, Err: err,
			Hint: "without it nobody can read the repository; for a new one: openssl rand -base64 24 > FILE, and keep a copy elsewhere",
		}
	}
	return string(b), nil
}

func commandOutput(ctx context.Context, argv []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, passwordTimeout)
	defer cancel()
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Stderr = os.Stderr
	c.WaitDelay = time.Second
	return c.Output()
}
