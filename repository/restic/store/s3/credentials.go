package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"lockstep"
)

const (
	// roleTime bounds how long one asks who this machine is: whoever answers that is on
	// it, or next to it. Where nobody is, packets to that address often just vanish.
	roleTime = 10 * time.Second
	// againAfter is how long it is not asked again when that failed. Requests come by the
	// dozen, and each would wait for it.
	againAfter = time.Second
	// lookEvery is how often a file of credentials is read again, which another program
	// may renew.
	lookEvery = time.Minute
	// renewAt is which part of their life credentials are used before new ones are asked
	// for. Should that fail, the rest is left to try it again.
	renewAt = 0.8
)

// Variables that the SDKs of AWS know too, and the library does not.
const (
	metadataEndpoint = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
	metadataDisabled = "AWS_EC2_METADATA_DISABLED"
	stsEndpoint      = "AWS_ENDPOINT_URL_STS"
)

// identity is where credentials come from: the environment, else a file, else the role
// of the machine. Unlike the library's chain it does not ask without end, says what each
// of them lacks in place of asking the service as nobody, and goes on with what it has
// while that is good. It is for credentials.Credentials, which asks one at a time.
type identity struct {
	file   string // "" for the usual ones
	now    func() time.Time
	within time.Duration // bounds how long the machine is asked

	value   credentials.Value
	renew   time.Time // when value is asked for again, zero for never
	failure error     // of the last time, told again until renew
}

var _ credentials.Provider = (*identity)(nil)

// noCredentials is that nobody says who we are.
type noCredentials struct{ why error }

func (n noCredentials) Error() string { return "no credentials: " + n.why.Error() }
func (n noCredentials) Unwrap() error { return n.why }

// Retrieve implements credentials.Provider.
func (i *identity) Retrieve() (credentials.Value, error) { return i.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext implements credentials.Provider. Its error is a noCredentials.
func (i *identity) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	now := i.now()
	if i.failure != nil && now.Before(i.renew) {
		return credentials.Value{}, i.failure
	}
	value, renew, err := i.ask(cc)
	switch {
	case err == nil:
		i.value, i.renew, i.failure = value, renew, nil
	case i.good(now):
		i.renew, i.failure = earlier(now.Add(lookEvery), i.value.Expiration), nil
	default:
		i.value, i.renew, i.failure = credentials.Value{}, now.Add(againAfter), noCredentials{err}
	}
	return i.value, i.failure
}

// good reports whether what is known can still be used. What never expires is not:
// whoever took it away meant it.
func (i *identity) good(now time.Time) bool {
	return i.value.AccessKeyID != "" && now.Before(i.value.Expiration)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// IsExpired implements credentials.Provider.
func (i *identity) IsExpired() bool {
	return i.failure != nil || !i.renew.IsZero() && !i.now().Before(i.renew)
}

// ask gives what the first one has that has anything, and when to ask again.
func (i *identity) ask(cc *credentials.CredContext) (v credentials.Value, renew time.Time, err error) {
	v, err = (&credentials.EnvAWS{}).RetrieveWithCredContext(cc)
	if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
		return v, time.Time{}, nil
	}
	v, fileErr := i.ofFile(cc)
	if fileErr == nil {
		return v, i.next(v, lookEvery), nil
	}
	if i.file != "" {
		// Who names a file means it. Another identity may look at another bucket.
		return v, renew, fmt.Errorf("they are not in the environment, and %w", fileErr)
	}
	v, roleErr := i.ofRole(cc)
	if roleErr == nil {
		return v, i.next(v, lookEvery), nil
	}
	return v, renew, fmt.Errorf("they are neither in the environment, nor in a file (%w), nor from the machine's role (%w)", fileErr, roleErr)
}

// next is when what expires, or else may change, is asked for again.
func (i *identity) next(v credentials.Value, otherwise time.Duration) time.Time {
	now := i.now()
	if v.Expiration.IsZero() {
		return now.Add(otherwise)
	}
	return now.Add(time.Duration(renewAt * float64(v.Expiration.Sub(now))))
}

func (i *identity) ofFile(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := (&credentials.FileAWSCredentials{Filename: i.file}).RetrieveWithCredContext(cc)
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = errors.New("it has no aws_access_key_id and aws_secret_access_key")
	}
	switch {
	case err == nil:
		return v, nil
	case i.file != "":
		return v, fmt.Errorf("not in file %s: %w", i.file, err)
	case errors.Is(err, fs.ErrNotExist):
		return v, errors.New("there is no ~/.aws/credentials")
	}
	return v, fmt.Errorf("~/.aws/credentials: %w", err)
}

// ofRole asks who this machine, container or pod is.
func (i *identity) ofRole(cc *credentials.CredContext) (credentials.Value, error) {
	ctx := context.Background()
	if cc != nil && cc.Context != nil {
		ctx = cc.Context
	}
	ctx, stop := context.WithTimeoutCause(ctx, i.within, fmt.Errorf("nobody answered within %s", i.within))
	defer stop()
	role, asked, err := roleOf(cc)
	if err != nil {
		return credentials.Value{}, err
	}
	v, err := role.RetrieveWithCredContext(&credentials.CredContext{Context: ctx})
	switch {
	case err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "":
		return v, nil
	case err == nil:
		err = errors.New("the answer has none in it")
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return credentials.Value{}, fmt.Errorf("asked %s: %w", asked, err)
}

// roleOf is who can be asked, and for people how. The address of a service that is far
// away may be reached by a proxy, as the bucket is; what is on this machine, or next to
// it, is not.
func roleOf(cc *credentials.CredContext) (role *credentials.IAM, asked string, err error) {
	role = &credentials.IAM{Client: nearby()}
	switch {
	case os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "":
		if cc != nil {
			role.Client = cc.Client
		}
		role.Endpoint = os.Getenv(stsEndpoint)
		return role, "with $AWS_WEB_IDENTITY_TOKEN_FILE", nil
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != "":
		return role, "by $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", nil
	case os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		return role, "by $AWS_CONTAINER_CREDENTIALS_FULL_URI", nil
	case os.Getenv(metadataDisabled) == "true":
		return nil, "", fmt.Errorf("$%s is true", metadataDisabled)
	}
	role.Endpoint = cmp.Or(os.Getenv(metadataEndpoint), credentials.DefaultIAMRoleEndpoint)
	return role, "at " + role.Endpoint, nil
}

// nearby asks without a proxy, and keeps no connection.
func nearby() *http.Client { return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} }

// unknown is the error of a request before which nobody said who we are, or whose service
// does not know it any more.
func unknown(op string, err error) error {
	return &lockstep.Error{
		Op: op, Err: unavailable{err, true}, // a machine that is asked again may answer
		Hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name repository.restic.credentials_file, or give the machine a role that may use the bucket",
	}
}
