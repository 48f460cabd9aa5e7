//go:build restictest

package restic

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"lockstep"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/store"
	"lockstep/repository/restic/store/s3"
	"lockstep/repository/restic/store/storetest"
)

const lockBucket = "locked"

func (g *gateway) client() *minio.Client {
	g.t.Helper()
	c, err := minio.New(g.address, &minio.Options{Creds: credentials.NewEnvAWS()})
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// locking is a service with a bucket that was made with object lock.
func locking(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t)
	if err := g.client().MakeBucket(t.Context(), lockBucket, minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) locked(bucket, prefix string, l s3.ObjectLock) *s3.Store {
	g.t.Helper()
	s, err := s3.New(s3.Options{Endpoint: g.address, Insecure: true, Bucket: bucket, Prefix: prefix, PathStyle: true, Lock: l})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

func TestS3KeepsTheContractOfObjectLock(t *testing.T) {
	t.Parallel()
	g := locking(t)
	var n atomic.Int32
	for _, compliance := range []bool{false, true} {
		l := s3.ObjectLock{Compliance: compliance, Period: 24 * time.Hour}
		t.Run(fmt.Sprint("compliance ", compliance), func(t *testing.T) {
			storetest.RunRetaining(t, func(*testing.T) storetest.RetainingStore {
				return g.locked(lockBucket, fmt.Sprint("s", n.Add(1)), l)
			}, time.Now, func(until time.Time) { time.Sleep(time.Until(until)) })
			var m atomic.Int32
			storetest.Run(t, func(*testing.T) store.Store { return g.locked(lockBucket, fmt.Sprint("t", compliance, m.Add(1)), l) })
		})
	}
}

// TestObjectLockOfAService: what a backup needs is kept by the service itself, whoever
// asks; forgetting and pruning say until when; afterwards both work, and no version is
// left of what they removed.
func TestObjectLockOfAService(t *testing.T) {
	t.Parallel()
	g := locking(t)
	const period = 40 * time.Second
	s := g.locked(lockBucket, "r", s3.ObjectLock{Compliance: true, Period: period})
	r := repo(s)
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := repositorytest.Begin(t, r, "shop_20261122T144241Z")
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Sample(t, "a"))))
	begun := time.Now()
	if left := g.allVersions(t, "r/locks/"); len(left) > 0 {
		t.Errorf("%d versions of locks are left, such as %s", len(left), left[0].Key)
	}
	g.removeVersions(t, "r/")
	if err := errors.Join(repositorytest.Reread(t.Context(), repo(s), id), r.Check(t.Context())); err != nil {
		t.Fatalf("all versions that the service lets go are removed, and the backup with them: %v", err)
	}
	for what, err := range map[string]error{"forget": r.Delete(t.Context(), id), "forget, without object_lock": repo(g.locked(lockBucket, "r", s3.ObjectLock{})).Delete(t.Context(), id)} {
		if lockstep.KindOf(err) != lockstep.KindRetained || !strings.Contains(lockstep.HintOf(err), begun.UTC().Format("2006-01-02")) {
			t.Errorf("%s: %v, hint %q", what, err, lockstep.HintOf(err))
		}
	}
	s2 := &site{t: t, path: "s3:http://" + g.address + "/" + lockBucket + "/r", ours: r}
	s2.clean()
	time.Sleep(time.Until(begun.Add(period + 6*time.Second)))
	if err := r.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	p, err := r.Prune(t.Context(), func(lockstep.Pruning) error { return nil })
	if err != nil || p.Free == 0 || p.Retained != 0 {
		t.Errorf("a prune after its time: %+v, %v", p, err)
	}
	if left := g.allVersions(t, "r/data/"); len(left) > 0 {
		t.Errorf("%d versions of packs are left, such as %s", len(left), left[0].Key)
	}
	s2.clean()
}

// allVersions are all versions of the files below a prefix, markers too.
func (g *gateway) allVersions(t *testing.T, prefix string) (all []minio.ObjectInfo) {
	t.Helper()
	for o := range g.client().ListObjects(t.Context(), lockBucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		all = append(all, o)
	}
	return all
}

// removeVersions asks the service to remove every version below a prefix.
func (g *gateway) removeVersions(t *testing.T, prefix string) {
	t.Helper()
	for _, o := range g.allVersions(t, prefix) {
		_ = g.client().RemoveObject(t.Context(), lockBucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
	}
}

// TestABucketWithoutObjectLock: that is said before anything is stored.
func TestABucketWithoutObjectLock(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	r := repo(g.locked(bucket, "plain", s3.ObjectLock{Period: 24 * time.Hour}))
	_, err := r.Identify(t.Context())
	if err == nil || !strings.Contains(lockstep.HintOf(err), "object-lock-enabled-for-bucket") {
		t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
	}
}
