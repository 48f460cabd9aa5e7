package s3

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/store"
)

// quietInTests is much longer than what answers takes to do so.
const quietInTests = 2 * time.Second

// answering is a store whose service gives those answers, the last one for ever.
func answering(t *testing.T, answers ...http.HandlerFunc) (*Store, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		answers[min(n, len(answers))-1](w, r)
	}))
	t.Cleanup(srv.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	s, err := New(Options{Endpoint: strings.TrimPrefix(srv.URL, "http://"), Insecure: true, Bucket: "backups", Prefix: "p", Region: "us-east-1", PathStyle: true, Retries: 3, Patience: time.Nanosecond, Quiet: quietInTests})
	if err != nil {
		t.Fatal(err)
	}
	return s, &asked
}

// TestWhereTheBucketStands: in the path, or in front of the host, whatever service
// that is.
func TestWhereTheBucketStands(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for pathStyle, want := range map[bool]string{true: "https://s3.example.com/backups/p/config", false: "https://backups.s3.example.com/p/config"} {
		s, err := New(Options{Endpoint: "s3.example.com", Bucket: "backups", Prefix: "p", Region: "us-east-1", PathStyle: pathStyle})
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.core.PresignedGetObject(t.Context(), "backups", s.key("config"), time.Minute, nil)
		if err != nil || u.Scheme+"://"+u.Host+u.Path != want {
			t.Errorf("it is asked at %s, %v; want %s", u, err, want)
		}
	}
}

func failing(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<Error><Code>" + code + "</Code><Message>m</Message></Error>"))
	}
}

func fine(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", `"x"`) }

// TestABusyServiceIsAskedAgain: 500 and 503 pass.
//
//fault:36 the S3 service answers 500 and 503 for a while | the request is sent again and the backup goes on
func TestABusyServiceIsAskedAgain(t *testing.T) {
	s, asked := answering(t, failing(503, "SlowDown"), failing(500, "InternalError"), fine)
	if err := s.Save(t.Context(), "config", []byte("x")); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
}

func TestWhatAServiceSays(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, hint string
		is         error
	}{
		{412, "PreconditionFailed", "", store.ErrExists},
		{404, "NoSuchBucket", "make the bucket backups", nil},
		{403, "AccessDenied", "AWS_ACCESS_KEY_ID", fs.ErrPermission},
		{501, "NotImplemented", "If-None-Match", nil},
		{507, "InsufficientStorage", "backups forget", nil},
		{400, "QuotaExceeded", "backups forget", nil},
		{503, "SlowDown", "what was stored until then is used", nil},
	} {
		t.Run(c.code, func(t *testing.T) {
			s, _ := answering(t, failing(c.status, c.code))
			err := s.Create(t.Context(), "config", []byte("x"))
			if err == nil || !strings.Contains(err.Error(), "/backups/p/config") || !strings.Contains(lockstep.HintOf(err), c.hint) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
			}
		})
	}
}

// TestHalfAListingIsNone: a page that fails makes the listing an error.
//
//fault:39 the S3 service fails in the middle of a listing | that is an error, never a short or an empty repository
func TestHalfAListingIsNone(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken><Contents><Key>p/data/1</Key><Size>1</Size></Contents></ListBucketResult>`))
	}
	s, _ := answering(t, page, failing(500, "InternalError"))
	if files, err := s.List(t.Context(), "data"); err == nil {
		t.Errorf("half a listing is %v", files)
	}
}

func file(w http.ResponseWriter) {
	w.Header().Set("ETag", `"x"`)
	w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
}

// broken is an answer of ten bytes that ends after three.
func broken(w http.ResponseWriter, _ *http.Request) {
	file(w)
	w.Header().Set("Content-Length", "10")
	_, _ = w.Write([]byte("012"))
}

// text is a whole answer; without flush its length is said.
func text(b string, flush bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		file(w)
		if flush {
			w.(http.Flusher).Flush()
		}
		_, _ = w.Write([]byte(b))
	}
}

// TestABrokenAnswerIsNoDamage: a connection that breaks off while a file is read
// says nothing of the file.
//
//fault:37 the connection to the S3 service breaks off while a file is read | the file is asked for again; if that does not help, it is not called damaged
func TestABrokenAnswerIsNoDamage(t *testing.T) {
	for what, load := range map[string]func(s *Store) ([]byte, error){
		"all":   func(s *Store) ([]byte, error) { return s.Load(t.Context(), "x", 10) },
		"range": func(s *Store) ([]byte, error) { return s.LoadRange(t.Context(), nil, "x", 5, 10) },
	} {
		t.Run(what, func(t *testing.T) {
			s, _ := answering(t, broken, broken, text("0123456789", false))
			if b, err := load(s); err != nil || string(b) != "0123456789" {
				t.Errorf("it was asked again: %q, %v", b, err)
			}
			s, _ = answering(t, text("0123456789", true))
			if b, err := load(s); err != nil || string(b) != "0123456789" {
				t.Errorf("an answer that does not say how long it is: %q, %v", b, err)
			}
			for name, answer := range map[string]http.HandlerFunc{"broken": broken, "down": failing(503, "SlowDown"), "forbidden": failing(403, "AccessDenied")} {
				s, _ = answering(t, answer)
				_, err := load(s)
				if err == nil || errors.Is(err, io.ErrUnexpectedEOF) || repository.Damage(errors.Join(err, repository.ErrCorrupt)) {
					t.Errorf("%s counts as damage: %v", name, err)
				}
			}
		})
	}
	s, asked := answering(t, text("012", false))
	if _, err := s.LoadRange(t.Context(), nil, "x", 5, 10); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, repository.ErrUnavailable) || asked.Load() != 1 {
		t.Errorf("a file that is really cut: %v after %d requests", err, asked.Load())
	}
	s, _ = answering(t, text("0123456789x", true))
	if b, err := s.Load(t.Context(), "x", 10); err == nil {
		t.Errorf("more than the limit: %q", b)
	}
}
