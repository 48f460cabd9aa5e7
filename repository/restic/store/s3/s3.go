// Package s3 keeps the files of a restic repository in a bucket of an S3 service.
//
// A file is one object, written by one PUT with a checksum that the service holds
// against what came in: it is there whole or not at all. That a file is created
// by one of many needs a service that heeds If-None-Match; others are refused
// where they say so. A request that fails is tried again by the library, with
// longer and longer pauses.
package s3

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/store"
)

// Options say where a bucket is.
type Options struct {
	// Endpoint is a host, with or without a port. Insecure is plain HTTP.
	Endpoint string
	Insecure bool
	Bucket   string
	// Prefix is the folder of the repository in the bucket, "" for all of it.
	Prefix string
	// Region is "" where the service says it.
	Region string
	// PathStyle: the bucket stands in the path, not in front of the host.
	PathStyle bool
	// CredentialsFile is in the form of ~/.aws/credentials, which it is if "".
	// Variables of the environment come before it; the role of the machine is
	// asked for only where it is "".
	CredentialsFile string
	// Lock has what is saved with SaveUntil kept from being removed.
	Lock ObjectLock
	// Retries is how often the library tries a request, 0 for its default.
	Retries int
	// Patience is how long a service that has answered before is tried again, by such
	// requests, 0 for two minutes. Quiet is how long a connection may carry nothing
	// while an answer is awaited, 0 for one.
	Patience, Quiet time.Duration
	// Now tells when credentials expire, nil for time.Now.
	Now func() time.Time
}

// Store is a store in a bucket.
type Store struct {
	o        Options
	core     minio.Core
	creds    *credentials.Credentials
	patience time.Duration
	answered atomic.Bool // the service was there once
}

// New is the store that the options name. Nothing is asked yet.
func New(o Options) (*Store, error) {
	lookup := minio.BucketLookupDNS // the library's own choice is the path but at the services that it knows
	if o.PathStyle {
		lookup = minio.BucketLookupPath
	}
	way, err := transport(!o.Insecure, cmp.Or(o.Quiet, defaultQuiet))
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", location(o), err)
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	creds := credentials.New(&identity{file: o.CredentialsFile, now: now, within: roleTime})
	client, err := minio.New(o.Endpoint, &minio.Options{
		Creds:  creds,
		Secure: !o.Insecure, Region: o.Region, BucketLookup: lookup, MaxRetries: o.Retries, Transport: way,
	})
	if err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "open repository " + location(o), Err: err, Hint: "write for example: location: s3:https://s3.example.com/bucket/folder"}
	}
	return &Store{o: o, core: minio.Core{Client: client}, creds: creds, patience: cmp.Or(o.Patience, defaultPatience)}, nil
}

func location(o Options) string {
	scheme := "https"
	if o.Insecure {
		scheme = "http"
	}
	return fmt.Sprintf("s3:%s://%s/%s", scheme, o.Endpoint, path.Join(o.Bucket, o.Prefix))
}

// Location implements store.Store.
func (s *Store) Location() string { return location(s.o) }

// Free implements store.Store: nobody knows.
func (s *Store) Free(context.Context) (int64, error) { return -1, nil }

func (s *Store) key(name string) string { return path.Join(s.o.Prefix, name) }

// Save implements store.Store.
func (s *Store) Save(ctx context.Context, name string, data []byte) error {
	return s.put(ctx, name, data, s.options())
}

// Create implements store.Store. A request whose answer was lost is sent again,
// and may then find the file that it made itself: whoever gets ErrExists may have
// created it.
func (s *Store) Create(ctx context.Context, name string, data []byte) error {
	o := s.options()
	o.SetMatchETagExcept("*")
	return s.put(ctx, name, data, o)
}

// options of a PUT. One of several parts would not heed If-None-Match, and the
// checksums that follow a body are refused by some services.
func (s *Store) options() minio.PutObjectOptions {
	return minio.PutObjectOptions{DisableMultipart: true, SendContentMd5: true, ContentType: "application/octet-stream"}
}

func (s *Store) put(ctx context.Context, name string, data []byte, o minio.PutObjectOptions) error {
	_, err := s.putObject(ctx, name, data, o)
	return err
}

func (s *Store) putObject(ctx context.Context, name string, data []byte, o minio.PutObjectOptions) (info minio.UploadInfo, err error) {
	err = s.patient(ctx, func() error {
		ctx, stop := bounded(ctx, int64(len(data)))
		defer stop()
		info, err = s.core.Client.PutObject(ctx, s.o.Bucket, s.key(name), bytes.NewReader(data), int64(len(data)), o)
		return s.trouble(ctx, "save", name, err)
	})
	return info, err
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, name string, limit int64) ([]byte, error) {
	return s.get(ctx, nil, name, minio.GetObjectOptions{}, limit)
}

// LoadRange implements store.Store.
func (s *Store) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+length-1); err != nil {
		return nil, err
	}
	data, err := s.get(ctx, dst, name, o, length)
	if err != nil {
		return nil, err
	}
	if n := int64(len(data) - len(dst)); n < length {
		return nil, fmt.Errorf("read %s: %w: it has %d bytes instead of %d", s.url(name), io.ErrUnexpectedEOF, offset+n, offset+length)
	}
	return data, nil
}

// getTries is how often a file is asked for at once whose body breaks off.
const getTries = 4

var errBroken = errors.New("the answer broke off")

// get appends what a request gives to dst: all of it, at most limit bytes.
func (s *Store) get(ctx context.Context, dst []byte, name string, o minio.GetObjectOptions, limit int64) (data []byte, err error) {
	err = s.patient(ctx, func() error {
		for try := 1; ; try++ {
			data, err = s.getOnce(ctx, dst, name, o, limit)
			if !errors.Is(err, errBroken) || try == getTries || ctx.Err() != nil {
				return err
			}
		}
	})
	return data, err
}

func (s *Store) getOnce(ctx context.Context, dst []byte, name string, o minio.GetObjectOptions, limit int64) ([]byte, error) {
	ctx, stop := bounded(ctx, limit)
	defer stop()
	body, info, _, err := s.core.GetObject(ctx, s.o.Bucket, s.key(name), o)
	if minio.ToErrorResponse(err).StatusCode == http.StatusRequestedRangeNotSatisfiable {
		return nil, fmt.Errorf("read %s: %w", s.url(name), io.ErrUnexpectedEOF)
	}
	if err != nil {
		return nil, s.trouble(ctx, "read", name, err)
	}
	defer body.Close()
	if info.Size > limit {
		return nil, fmt.Errorf("read %s: %w: it has %d bytes, not at most %d", s.url(name), store.ErrTooLong, info.Size, limit)
	}
	data := bytes.NewBuffer(dst)
	data.Grow(int(max(0, info.Size)) + bytes.MinRead) // the size may be unknown
	n, err := data.ReadFrom(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		// What came of a body that broke off does not say how long the file is.
		return nil, unavailable{fmt.Errorf("read %s: %w after %d bytes: %w", s.url(name), errBroken, n, opaque(ctx, err)), true}
	case n > limit:
		return nil, fmt.Errorf("read %s: %w: it has more than %d bytes", s.url(name), store.ErrTooLong, limit)
	}
	return data.Bytes(), nil
}

// List implements store.Store: a page that fails makes all of it an error.
func (s *Store) List(ctx context.Context, folder string) (files []store.File, err error) {
	err = s.patient(ctx, func() error {
		files, err = s.listOnce(ctx, folder)
		return err
	})
	return files, err
}

func (s *Store) listOnce(ctx context.Context, folder string) ([]store.File, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	prefix := s.key(folder) + "/"
	files := []store.File{}
	for o := range s.core.Client.ListObjects(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, s.trouble(ctx, "list", folder, o.Err)
		}
		name, ok := strings.CutPrefix(o.Key, prefix)
		if !ok {
			return nil, fmt.Errorf("list %s: the service gave %q, which is not in it", s.url(folder), o.Key)
		}
		files = append(files, store.File{Name: path.Join(folder, name), Size: o.Size})
	}
	return files, ctx.Err()
}

func (s *Store) url(name string) string { return s.Location() + "/" + name }

// unavailable is an error of the way to the files, not of what is in them. One that
// passes may be over soon.
type unavailable struct {
	error
	passes bool
}

func (u unavailable) Unwrap() error        { return u.error }
func (u unavailable) Is(target error) bool { return target == repository.ErrUnavailable }

const fullHint = "the service is full: make room there, for example with `lockstep backups forget` and `lockstep repository prune`; what was stored until then is used by the next backup"

// trouble says what failed, and for what people can mend what to do.
func (s *Store) trouble(ctx context.Context, op, name string, err error) error {
	if err == nil {
		return nil
	}
	op = fmt.Sprintf("%s %s", op, s.url(name))
	hint := ""
	switch answer := minio.ToErrorResponse(err); {
	case errors.As(err, new(noCredentials)):
		return unknown(op, err)
	case answer.Code == "ExpiredToken":
		s.creds.Expire() // there may be new ones already
		return unknown(op, err)
	case answer.Code == minio.NoSuchKey || answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket:
		return fmt.Errorf("%s: %w", op, store.ErrNotFound)
	case answer.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %w", op, store.ErrExists)
	case answer.Code == minio.NoSuchBucket:
		hint = fmt.Sprintf("make the bucket %s, or name another one as repository.restic.location", s.o.Bucket)
	case answer.Code == "InvalidRequest" && strings.Contains(strings.ToLower(answer.Message), "lock"), answer.Code == "InvalidBucketObjectLockConfiguration":
		return s.notLocking(op, err)
	case answer.StatusCode == http.StatusNotImplemented:
		hint = "the service must heed If-None-Match: use another one, or a later version of it"
	case answer.StatusCode == http.StatusForbidden:
		err = errors.Join(err, fs.ErrPermission)
		hint = "look at AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, at credentials_file or the machine's role, and what the service lets them do"
	case answer.StatusCode == http.StatusInsufficientStorage:
		hint = fullHint
	case answer.Code == "QuotaExceeded", answer.Code == "XMinioStorageFull", strings.Contains(answer.Message, "no space left on device"):
		hint = fullHint
	default:
		return &lockstep.Error{Op: op, Err: unavailable{opaque(ctx, err), true}, Hint: "look at the service and the way to it, then do it again: what was stored until then is used"}
	}
	return &lockstep.Error{Op: op, Err: unavailable{err, false}, Hint: hint}
}

// opaque is what a request died of: of its bound, rather than of what that looks like
// from below. An end of a body says nothing of the file, so it is not one for callers.
func opaque(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errTooSlow) {
		return cause
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New(err.Error())
	}
	return err
}
