package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// chosenRepository is the one that is asked for, with its name if that is not the
// configuration's own.
func chosenRepository(cfg *config.Config, o Options) (repository.Repository, string, error) {
	name := o.Repository
	if name == config.MainRepository {
		name = ""
	}
	if name == "" {
		repo, err := repositoryOf(cfg.Repository, o.Getenv)
		return repo, "", err
	}
	repo, err := otherRepository(cfg, name, o.Getenv)
	return repo, name, err
}

// otherRepository is one of the configuration's copies, its own by the name
// config.MainRepository, or the one at a location.
func otherRepository(cfg *config.Config, name string, getenv func(string) string) (repository.Repository, error) {
	at, ok := cfg.Copies[name]
	switch {
	case ok:
		return repositoryOf(at, getenv)
	case name == config.MainRepository:
		return repositoryOf(cfg.Repository, getenv)
	}
	at, ok, err := config.AtLocation(name, getenv)
	if err != nil {
		return nil, err
	}
	if !ok {
		hint := "configured are: " + strings.Join(append(copyNames(cfg), config.MainRepository), ", ")
		return nil, &lockstep.Error{
			Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find repository %q", name), Err: errors.New("it is neither one of `copies` in the configuration nor a location"),
			Hint: hint + "; a location is /FOLDER or ./FOLDER, restic:FOLDER or s3:https://HOST/BUCKET/FOLDER",
		}
	}
	if err := plainFolder(at.Dir); err != nil {
		return nil, err
	}
	return repositoryOf(at, getenv)
}

// copyNames are the names of other repositories.
func copyNames(cfg *config.Config) []string { return slices.Sorted(maps.Keys(cfg.Copies)) }

// plainFolder refuses a folder that restic keeps a repository in: plain files among
// its own would be in nobody's way, and of no use.
func plainFolder(dir string) error {
	if dir == "" {
		return nil
	}
	_, config := os.Stat(filepath.Join(dir, "config"))
	_, keys := os.Stat(filepath.Join(dir, "keys"))
	if config != nil || keys != nil {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindUsage, Op: "open repository " + dir, Err: errors.New("it is a repository in restic's format"),
		Hint: "write restic:" + dir,
	}
}

// repositoryOf is the repository that is configured so. Nothing of it is read yet.
func repositoryOf(at config.Repository, getenv func(string) string) (repository.Repository, error) {
	c := at.Restic
	if c == nil {
		repo, err := dir.At(at.Dir)
		if err != nil {
			return nil, fmt.Errorf("open repository %s: %w", at.Dir, err)
		}
		if x := at.Encrypt; x != nil {
			e, err := dir.NewEncryption(x.Recipients, x.IdentityFile)
			if err != nil {
				return nil, err
			}
			repo.Encrypted(e)
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
		o := s3.Options{
			Endpoint: b.Endpoint, Insecure: b.Insecure, Bucket: b.Bucket, Prefix: b.Prefix,
			Region: b.Region, PathStyle: b.PathStyle, CredentialsFile: b.CredentialsFile,
		}
		if l := b.Lock; l != nil {
			o.Lock = s3.ObjectLock{Compliance: l.Compliance, Period: l.Period()}
		}
		return s3.New(o)
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
