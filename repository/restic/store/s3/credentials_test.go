package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/repository"
)

// nobody has no credentials but those that a test gives.
func nobody(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", metadataDisabled,
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv(metadataEndpoint, "http://127.0.0.1:1") // nobody listens there
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
}

// machine gives out credentials that last an hour, by each of the ways that a machine, a
// container and a pod have, and answers as the service would whom only they open it to.
type machine struct {
	asked atomic.Int32
	mu    sync.Mutex
	now   time.Time
	given int // how many credentials
	down  bool
	early bool // the service knows the last ones no more, though their time is not over
	hang  chan struct{}
	used  map[string]int // requests of the service by key
}

func (m *machine) clock() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *machine) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

const lifetime = time.Hour

// key is the one that is given out last, and its token.
func (m *machine) key() (id, secret, token string, until time.Time) {
	return fmt.Sprint("key", m.given), "secret", fmt.Sprint("token", m.given), m.now.Add(lifetime)
}

func (m *machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.asked.Add(1)
	if m.hang != nil {
		select {
		case <-m.hang:
		case <-time.After(5 * time.Second): // a test that waits for it fails, and does not hang
		}
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch authorized := r.Header.Get("Authorization") == "container secret"; {
	case m.down:
		w.WriteHeader(http.StatusInternalServerError)
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		_, _ = w.Write([]byte("session"))
	case strings.HasPrefix(r.URL.Path, "/latest/") && r.Header.Get("X-aws-ec2-metadata-token") != "session":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
		_, _ = w.Write([]byte("backups\n"))
	case r.URL.Path == "/latest/meta-data/iam/security-credentials/backups", r.URL.Path == "/container" && authorized:
		m.given++
		id, secret, token, until := m.key()
		_ = json.NewEncoder(w).Encode(map[string]any{"Code": "Success", "AccessKeyId": id, "SecretAccessKey": secret, "Token": token, "Expiration": until})
	case r.FormValue("Action") == "AssumeRoleWithWebIdentity" && r.FormValue("WebIdentityToken") == "signed by the cluster" && r.FormValue("RoleArn") == "arn:of:a:role":
		m.given++
		id, secret, token, until := m.key()
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, id, secret, token, until.Format(time.RFC3339))
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

// bucket lets in who has the credentials that were given last, until their time is over.
func (m *machine) bucket(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, _, token, _ := m.key()
	_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ = strings.Cut(key, "/")
	m.used[key]++
	switch {
	case key == id && m.early:
		m.early = false
		failing(http.StatusBadRequest, "ExpiredToken")(w, r)
	case key != id || r.Header.Get("X-Amz-Security-Token") != token:
		failing(http.StatusForbidden, "InvalidAccessKeyId")(w, r)
	default:
		fine(w, r)
	}
}

// newMachine is a machine with a role, and a store whose service knows that role alone.
func newMachine(t *testing.T) (*machine, *Store, string) {
	t.Helper()
	nobody(t)
	m := &machine{now: time.Now(), used: map[string]int{}}
	metadata, service := httptest.NewServer(m), httptest.NewServer(http.HandlerFunc(m.bucket))
	t.Cleanup(metadata.Close)
	t.Cleanup(service.Close)
	s, err := New(Options{
		Endpoint: strings.TrimPrefix(service.URL, "http://"), Insecure: true, Bucket: "backups", Region: "us-east-1", PathStyle: true,
		Retries: 1, Patience: 5 * time.Second, Quiet: quietInTests, Now: m.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, s, metadata.URL
}

// ways are how machines give credentials to what runs on them.
func ways(t *testing.T) map[string]func(url string) {
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	return map[string]func(url string){
		"a machine": func(url string) { t.Setenv(metadataEndpoint, url) },
		"a container": func(url string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url+"/container")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container secret")
		},
		"a pod with an agent": func(url string) {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url+"/container")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file("container secret"))
		},
		"a pod with a token": func(url string) {
			t.Setenv(stsEndpoint, url)
			t.Setenv("AWS_ROLE_ARN", "arn:of:a:role")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file("signed by the cluster"))
		},
	}
}

// TestCredentialsOfTheMachine are asked for once, renewed before they expire, and good to
// their end where that fails for a while.
//
//fault:s3-role-expires the credentials of the machine's role expire while a backup is written, and the machine gives no new ones for a while | new ones are asked for before the old ones end, which are used until then; the backup goes on
func TestCredentialsOfTheMachine(t *testing.T) {
	for name := range ways(t) {
		t.Run(name, func(t *testing.T) {
			m, s, url := newMachine(t)
			ways(t)[name](url)
			save := func(what string, given int) {
				t.Helper()
				if err := s.Save(t.Context(), "x", []byte("x")); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if m.given != given {
					t.Errorf("%s: %d were given, not %d", what, m.given, given)
				}
			}
			later := func(d time.Duration) { m.set(func() { m.now = m.now.Add(d) }) }
			save("at first", 1)
			later(lifetime / 2)
			save("in their time", 1)
			later(lifetime * 2 / 5)
			m.set(func() { m.down = true })
			save("nobody gives new ones", 1)
			m.set(func() { m.down = false })
			later(againAfter)
			save("at nine tenths of it", 1) // not asked for each request
			later(lookEvery)
			save("soon after", 2)
			m.set(func() { m.early = true })
			save("the service calls them expired", 3)
		})
	}
}

// TestNoNewCredentials in the middle of a backup is an error that says that, after those
// that there were have expired.
func TestNoNewCredentials(t *testing.T) {
	m, s, url := newMachine(t)
	t.Setenv(metadataEndpoint, url)
	s.patience = time.Nanosecond
	if err := s.Save(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	m.set(func() { m.now, m.down = m.now.Add(lifetime), true })
	err := s.Save(t.Context(), "x", nil)
	if err == nil || !strings.Contains(err.Error(), "500 Internal Server Error") || !strings.Contains(err.Error(), url) || !errors.Is(err, repository.ErrUnavailable) || !passing(err) {
		t.Errorf("%v", err)
	}
	m.set(func() { m.now, m.down = m.now.Add(againAfter), false })
	if err := s.Save(t.Context(), "x", nil); err != nil {
		t.Errorf("when there are new ones: %v", err)
	}
}

// TestNoCredentials says of each place what it lacks, and asks no service as nobody.
//
//fault:s3-no-credentials there are no credentials for the S3 service, neither in the environment nor in a file, and the machine has no role | at once an error that says so of each, and what to set; the service is not asked
func TestNoCredentials(t *testing.T) {
	const neither = "no credentials: they are neither in the environment, nor in a file (there is no ~/.aws/credentials), nor from the machine's role ("
	for name, c := range map[string]struct {
		env  func(t *testing.T)
		want string
	}{
		"nothing":          {func(*testing.T) {}, neither + "asked at http://127.0.0.1:1: "},
		"half":             {func(t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", "key") }, neither},
		"switched off":     {func(t *testing.T) { t.Setenv(metadataDisabled, "true") }, neither + "$AWS_EC2_METADATA_DISABLED is true)"},
		"a token is gone":  {func(t *testing.T) { t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/gone") }, neither + "asked with $AWS_WEB_IDENTITY_TOKEN_FILE: open /gone: "},
		"of another host":  {func(t *testing.T) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/") }, neither + "asked by $AWS_CONTAINER_CREDENTIALS_FULL_URI: uri host is not a loopback address"},
		"not authorized":   {func(t *testing.T) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", os.Getenv("URL")+"/container") }, neither + "asked by $AWS_CONTAINER_CREDENTIALS_FULL_URI: 403 Forbidden"},
		"an unusable file": {func(t *testing.T) { write(t, "[default]\naws_access_key_id = key\n") }, "neither in the environment, nor in a file (~/.aws/credentials: profile has partial"},
	} {
		t.Run(name, func(t *testing.T) {
			m, s, url := newMachine(t)
			t.Setenv("URL", url)
			c.env(t)
			err := s.Save(t.Context(), "x", nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(lockstep.HintOf(err), "AWS_SECRET_ACCESS_KEY") || !errors.Is(err, repository.ErrUnavailable) {
				t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
			}
			if len(m.used) > 0 {
				t.Errorf("the service was asked by %v", m.used)
			}
		})
	}
}

func write(t *testing.T, credentials string) string {
	t.Helper()
	name := filepath.Join(os.Getenv("HOME"), ".aws", "credentials")
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(credentials), 0o600)); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestANamedFileIsMeant: where it has no credentials, those of the machine are not used in
// their place; where it has, they are read again in time.
func TestANamedFileIsMeant(t *testing.T) {
	m, s, url := newMachine(t)
	t.Setenv(metadataEndpoint, url)
	file := write(t, "[default]\n")
	s = again(t, s, func(o *Options) { o.CredentialsFile = file })
	if err := s.Save(t.Context(), "x", nil); err == nil || !strings.Contains(err.Error(), "not in file "+file+": it has no aws_access_key_id") || m.given > 0 {
		t.Errorf("%v, %d were given", err, m.given)
	}
	for _, key := range []string{"first", "second"} {
		m.set(func() { m.now = m.now.Add(lookEvery) })
		write(t, "[default]\naws_access_key_id = "+key+"\naws_secret_access_key = s\n")
		if err := s.Save(t.Context(), "x", nil); err == nil || !strings.Contains(lockstep.HintOf(err), "credentials_file") || m.used[key] == 0 {
			t.Errorf("%v, used %v", err, m.used)
		}
	}
}

// TestAMachineThatDoesNotAnswer is not waited for without end, nor anew by each request.
//
//fault:s3-role-hangs the service that gives the machine its credentials takes the question and does not answer | after ten seconds an error says that nobody answered
func TestAMachineThatDoesNotAnswer(t *testing.T) {
	m, _, url := newMachine(t)
	m.hang = make(chan struct{})
	t.Cleanup(func() { close(m.hang) })
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url+"/container")
	i := &identity{now: func() time.Time { return m.now }, within: 50 * time.Millisecond}
	for range 3 {
		if _, err := i.Retrieve(); err == nil || !strings.Contains(err.Error(), "by $AWS_CONTAINER_CREDENTIALS_FULL_URI: nobody answered within 50ms") {
			t.Errorf("%v", err)
		}
	}
	if asked := m.asked.Load(); asked != 1 {
		t.Errorf("it was waited for %d times", asked)
	}
}
