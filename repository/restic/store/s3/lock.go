package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"lockstep"
	"lockstep/repository/restic/store"
)

// ObjectLock says that, and how, the service keeps files from being removed. The zero
// value says nothing.
//
// The bucket must have been made with object lock, and so has versions: whoever may
// delete can hide a file behind a marker, and whoever may write can put another version
// before it, but the version that was kept is there until its time is over.
type ObjectLock struct {
	// Compliance: nobody at all can remove a file earlier. Else those can who have the
	// permission to bypass governance, which this program never does.
	Compliance bool
	// Period is for how long a file is kept, from when it is saved or needed again.
	Period time.Duration
}

func (l ObjectLock) mode() minio.RetentionMode {
	if l.Compliance {
		return minio.Compliance
	}
	return minio.Governance
}

// longestStep bounds by how much longer than asked for a file is kept.
const longestStep = 24 * time.Hour

// Until implements store.Retaining: to an eighth of the period, or a day, later than
// asked for. Without that each backup would have every file that it shares with earlier
// ones kept anew.
func (s *Store) Until(now time.Time) time.Time {
	if s.o.Lock.Period <= 0 {
		return time.Time{}
	}
	step := max(time.Second, min(longestStep, s.o.Lock.Period/8).Truncate(time.Second))
	return now.Add(s.o.Lock.Period + step - 1).UTC().Truncate(step)
}

// SaveUntil implements store.Retaining.
func (s *Store) SaveUntil(ctx context.Context, name string, data []byte, until time.Time) error {
	o := s.options()
	o.Mode, o.RetainUntilDate = s.o.Lock.mode(), until
	info, err := s.putObject(ctx, name, data, o)
	if err == nil && info.VersionID == "" {
		err = s.notLocking("save "+s.url(name), errors.New("the bucket has no versions"))
	}
	return err
}

// notLocking is the error for a bucket in which nothing can be kept.
func (s *Store) notLocking(op string, err error) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: op + " under object lock", Err: unavailable{err, false},
		Hint: fmt.Sprintf("make a bucket with object lock (aws s3api create-bucket --bucket %s --object-lock-enabled-for-bucket), or take object_lock out of the configuration", s.o.Bucket),
	}
}

// Retain implements store.Retaining. Compliance stays compliance.
func (s *Store) Retain(ctx context.Context, name string, until time.Time) error {
	for try := 1; ; try++ {
		state, err := s.stat(ctx, "keep", name)
		if err != nil {
			return err
		}
		if s.o.Lock.Compliance && !state.compliance && s.comply(ctx, name, state, until) == nil {
			return nil
		}
		if !state.until.Before(until) {
			return nil
		}
		mode := s.o.Lock.mode()
		switch {
		case state.compliance:
			mode = minio.Compliance
		case !state.until.IsZero():
			mode = minio.Governance
		}
		retention := minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: state.version}
		err = s.asked(ctx, "keep", name, func(ctx context.Context) error {
			return s.core.PutObjectRetention(ctx, s.o.Bucket, s.key(name), retention)
		})
		// Another orchestrator may have kept it for longer meanwhile: the service refuses
		// to shorten that.
		if err == nil || try == 2 || !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
}

// comply makes governance compliance, until the later of the two dates. Some services let
// only those do it who may bypass governance; then it stays what it is until its date,
// and no backup fails for that. So it is tried once.
func (s *Store) comply(ctx context.Context, name string, was state, until time.Time) error {
	if was.until.IsZero() {
		return errors.New("it is not kept at all")
	}
	if was.until.After(until) {
		until = was.until
	}
	ctx, stop := bounded(ctx, 0)
	defer stop()
	mode := minio.Compliance
	return s.core.PutObjectRetention(ctx, s.o.Bucket, s.key(name), minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: was.version})
}

// Retained implements store.Retaining.
func (s *Store) Retained(ctx context.Context, name string) (time.Time, error) {
	state, err := s.stat(ctx, "look at", name)
	switch {
	case err != nil:
		return time.Time{}, err
	case state.held:
		return store.Held, nil
	case !state.until.After(time.Now()):
		return time.Time{}, nil
	}
	return state.until, nil
}

// state is what the service says of a file. Whoever may not see until when it is kept
// sees no time.
type state struct {
	version          string // "" where the bucket has none
	until            time.Time
	compliance, held bool
}

func (s *Store) stat(ctx context.Context, op, name string) (state, error) {
	var info minio.ObjectInfo
	err := s.asked(ctx, op, name, func(ctx context.Context) (err error) {
		info, err = s.core.StatObject(ctx, s.o.Bucket, s.key(name), minio.StatObjectOptions{})
		return err
	})
	if err != nil {
		return state{}, err
	}
	out, err := stateOf(info)
	return out, s.trouble(ctx, op, name, err)
}

// stateOf reads it from the headers of an answer.
func stateOf(info minio.ObjectInfo) (out state, err error) {
	out = state{
		version: info.VersionID, held: info.Metadata.Get("X-Amz-Object-Lock-Legal-Hold") == "ON",
		compliance: info.Metadata.Get("X-Amz-Object-Lock-Mode") == minio.Compliance.String(),
	}
	if text := info.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"); text != "" {
		if out.until, err = time.Parse(time.RFC3339, text); err != nil {
			return out, fmt.Errorf("until when it is kept: %w", err)
		}
	}
	return out, nil
}

// Remove implements store.Store. The service does not say whether there was a file, and
// where there are versions would hide one that is kept: so it is asked first.
func (s *Store) Remove(ctx context.Context, name string) error {
	state, err := s.stat(ctx, "remove", name)
	switch {
	case err != nil:
		return err
	case state.until.After(time.Now()):
		return &store.RetainedError{Name: s.url(name), Until: state.until}
	case state.held:
		return &store.RetainedError{Name: s.url(name)}
	}
	return s.hide(ctx, "remove", name)
}

// Hide implements store.Retaining.
func (s *Store) Hide(ctx context.Context, name string) error {
	if _, err := s.stat(ctx, "remove", name); err != nil {
		return err
	}
	return s.hide(ctx, "remove", name)
}

// hide removes a file for those who read; where there are versions and this store is to
// look after them, what is kept no more goes too.
func (s *Store) hide(ctx context.Context, op, name string) error {
	err := s.asked(ctx, op, name, func(ctx context.Context) error {
		return s.core.RemoveObject(ctx, s.o.Bucket, s.key(name), minio.RemoveObjectOptions{})
	})
	if err != nil {
		return err
	}
	if s.o.Lock.Period > 0 {
		_ = s.purge(ctx, s.key(name), s.key(name)) // a prune does it again
	}
	return nil
}

// Purge implements store.Retaining.
func (s *Store) Purge(ctx context.Context, folder string) error {
	if s.o.Lock.Period <= 0 {
		return nil // whoever made versions wants them
	}
	return s.purge(ctx, s.key(folder)+"/", "")
}

// purge removes the versions of hidden files whose key begins so, of only that key if it
// is given. That they are kept no more is for the service to say. A marker goes last:
// without it an older version would be the file again.
func (s *Store) purge(ctx context.Context, prefix, only string) error {
	markers, older, err := s.hidden(ctx, prefix, only)
	if err != nil {
		return s.trouble(ctx, "list versions of", prefix, err)
	}
	for key, marker := range markers {
		left, oneErr := s.removeVersions(ctx, older[key])
		if oneErr == nil && !left {
			_, oneErr = s.removeVersions(ctx, []minio.ObjectInfo{marker})
		}
		if err == nil { // one says it for all
			err = oneErr
		}
	}
	return errors.Join(err, ctx.Err())
}

// hidden lists markers that are what a key has now, and all that no key has now. A service
// may list all markers before all versions.
func (s *Store) hidden(ctx context.Context, prefix, only string) (markers map[string]minio.ObjectInfo, older map[string][]minio.ObjectInfo, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	markers, older = map[string]minio.ObjectInfo{}, map[string][]minio.ObjectInfo{}
	for o := range s.core.Client.ListObjects(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
		switch {
		case o.Err != nil:
			return nil, nil, o.Err
		case only != "" && o.Key != only:
		case !o.IsLatest:
			older[o.Key] = append(older[o.Key], o)
		case o.IsDeleteMarker:
			markers[o.Key] = o
		}
	}
	return markers, older, ctx.Err()
}

// removeVersions removes those that the service lets go. left says that one must still be
// kept; that one cannot be removed for another reason is an error.
func (s *Store) removeVersions(ctx context.Context, versions []minio.ObjectInfo) (left bool, err error) {
	for _, o := range versions {
		gone := s.core.RemoveObject(ctx, s.o.Bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
		switch {
		case gone == nil:
		case saidKept(gone) || s.stillKept(ctx, o):
			left = true
		case err == nil:
			err = s.trouble(ctx, "remove a hidden version of", o.Key, gone)
		}
	}
	return left, err
}

// saidKept reports whether a service says that it refuses because of object lock, in the
// words of S3 or of MinIO. Some do not tell until when an older version is kept.
func saidKept(err error) bool {
	text := strings.ToLower(minio.ToErrorResponse(err).Message)
	return strings.Contains(text, "object lock") || strings.Contains(text, "worm protected")
}

// clockSkew is by how much a service's clock may be another than ours: S3 refuses whoever
// is further away.
const clockSkew = 15 * time.Minute

// stillKept reports whether the service keeps a version. Services refuse to remove such a
// one each with its own error, some with the one for missing permissions.
func (s *Store) stillKept(ctx context.Context, o minio.ObjectInfo) bool {
	info, err := s.core.StatObject(ctx, s.o.Bucket, o.Key, minio.StatObjectOptions{VersionID: o.VersionID})
	if err != nil {
		return false
	}
	state, err := stateOf(info)
	return err == nil && (state.held || state.until.After(time.Now().Add(-clockSkew)))
}
