package bosh

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/source"
	"lockstep/target/ssh"
)

// Options say which deployment of a director a Source is, and how.
type Options struct {
	// Director is asked; whoever made it closes it.
	Director *Director
	// Connect, in place of Director, says which is connected to for as long as
	// a run lasts. Where it has no Password, that is read each time from
	// PasswordFile or PasswordEnv.
	Connect *DirectorOptions
	// Deployment is its name there. An empty one is an error of Resolve, as it
	// is the director that knows names.
	Deployment string
	// Name is what the deployment is called here; "" is Deployment.
	Name string

	// PasswordEnv and PasswordFile say where the director's password can be
	// found again; neither is BOSH_CLIENT_SECRET.
	PasswordEnv, PasswordFile string

	// Locations are the folders on instances; where one is "", that of
	// lockstep.DefaultLocations holds.
	Locations lockstep.Locations
	// Jobs add to, or replace, what jobs say of themselves, by job name.
	Jobs map[string]source.JobOverride
	// Apply changes the face's policy to the deployment's; nil changes
	// nothing.
	Apply func(lockstep.Policy) lockstep.Policy
	// SSH holds timeouts, algorithms and numbers of sessions; what it says of
	// hosts, users, keys and jump hosts is not used.
	SSH ssh.Config

	// Exact makes the calls to the director exactly those of the original
	// bbr: group after group, and at the end one cleanup for each instance
	// that was kept. Otherwise groups are set up at once, and cleaned up with
	// one call each.
	Exact bool
	// AfterGroup, if not nil, is called for each group after its users were
	// made and before the next group is touched, with a Resolved of that
	// group's instances alone (its Release is nil). It returns those to keep;
	// the others are not part of the deployment and get no cleanup call. An
	// error ends Resolve. It needs Exact.
	AfterGroup func(ctx context.Context, group *source.Resolved) (keep []source.Instance, err error)
	// CleanUp, if not nil, says at Release whether the director is asked to
	// clean an instance up. It needs Exact. Where the director is not asked,
	// the instance is, to remove the user when its last session has ended.
	CleanUp func(in source.Instance) bool
	// UserGrace, if not 0, has each instance remove the user itself when it
	// had no session for that long, in case nobody else does: that takes one
	// more command on each instance that is used. It should be longer than
	// the lease, because a run that lost its connections wants to come back.
	UserGrace time.Duration
}

// Source is a deployment of a director. Make it with New or FromReach.
type Source struct {
	options    Options
	connection *connection
}

var (
	_ source.Lister  = (*Source)(nil)
	_ source.Remover = (*Source)(nil)
)

// New makes a source. It contacts nothing, and reads no file unless it is given
// a Director, which has read its own. Errors are of KindInvalid or a mistake in
// the options.
func New(o Options) (*Source, error) {
	if (o.Director == nil) == (o.Connect == nil) {
		return nil, errNoDirector
	}
	if (o.AfterGroup != nil || o.CleanUp != nil) && !o.Exact {
		return nil, errors.New("make a source of a director: AfterGroup and CleanUp need Exact")
	}
	if o.PasswordEnv == "" && o.PasswordFile == "" {
		o.PasswordEnv = "BOSH_CLIENT_SECRET"
	}
	o.Name = cmp.Or(o.Name, o.Deployment)
	c, err := connectionOf(o)
	if err != nil {
		return nil, err
	}
	o.Locations = o.Locations.Or(lockstep.DefaultLocations())
	return &Source{options: o, connection: c}, nil
}

func connectionOf(o Options) (*connection, error) {
	if o.Director != nil {
		return &connection{given: o.Director, url: o.Director.URL(), options: o.Director.options}, nil
	}
	url, err := directorURL(o.Connect.Target)
	if err != nil {
		return nil, err
	}
	c := &connection{url: url, options: o.Connect.withDefaults()}
	if o.Connect.Password == "" {
		c.password = func() (string, error) {
			return passwordIn(o.PasswordFile, o.PasswordEnv, c.options.Env, c.options.Username, url)
		}
	}
	return c, nil
}

// Info names the deployment. Its key is bosh:URL#NAME, where NAME is that of
// the director.
func (s *Source) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{
		Name: s.options.Name, Source: "bosh",
		Key: lockstep.DeploymentKey("bosh:" + s.connection.url + "#" + s.options.Deployment),
	}
}

// reach is what Reach says.
type reach struct {
	Kind         string                        `json:"kind"` // "bosh"
	Director     string                        `json:"director"`
	Deployment   string                        `json:"deployment"`
	Name         string                        `json:"name,omitempty"` // where it is another
	Username     string                        `json:"username"`
	PasswordEnv  string                        `json:"password_env,omitempty"`
	PasswordFile string                        `json:"password_file,omitempty"`
	CACert       string                        `json:"ca_cert,omitempty"`
	Proxy        string                        `json:"proxy,omitempty"`
	StateDir     string                        `json:"state_dir,omitempty"`
	AcceptKeys   bool                          `json:"accept_changed_keys,omitempty"`
	Exact        bool                          `json:"exact,omitempty"`
	Locations    lockstep.Locations            `json:"locations"`
	Jobs         map[string]source.JobOverride `json:"jobs,omitempty"`
}

// Reach is JSON for FromReach: the director, the deployment and the user; of
// the password only where it is found; the CA certificate as it was given,
// which is not a secret.
func (s *Source) Reach() string {
	o, d := s.options, s.connection.options
	r := reach{
		Kind: "bosh", Director: s.connection.url, Deployment: o.Deployment, Username: d.Username,
		PasswordEnv: o.PasswordEnv, PasswordFile: o.PasswordFile, CACert: withoutPrivate(d.CACert), Proxy: withoutPassword(d.Proxy),
		StateDir: d.StateDir, AcceptKeys: d.AcceptChangedKeys, Exact: o.Exact, Locations: o.Locations, Jobs: o.Jobs,
	}
	if o.Name != o.Deployment {
		r.Name = o.Name
	}
	return encodeReach(r)
}

// withoutPrivate leaves a text out in which somebody put a private key beside
// the certificate.
func withoutPrivate(ca string) string {
	if strings.Contains(ca, "PRIVATE KEY") {
		return ""
	}
	return ca
}

// withoutPassword leaves a proxy out in which there is one; it must be in
// BOSH_ALL_PROXY again then.
func withoutPassword(proxy string) string {
	u, err := url.Parse(proxy)
	if err != nil {
		return ""
	}
	if _, secret := u.User.Password(); secret {
		return ""
	}
	return proxy
}

func encodeReach(r any) string {
	out, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode how a deployment is reached: %v", err)) // texts and lists of them always encode
	}
	return string(out)
}

// IsReach reports whether a text is Reach of a Source or a Host.
func IsReach(text string) bool {
	var r struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal([]byte(text), &r) == nil && (r.Kind == "bosh" || r.Kind == "bosh-host")
}

// FromReach makes the source again that Reach of a Source or a Host described.
// The environment is that of the process unless env is given; log may be nil.
// The password must be where it was.
func FromReach(text string, env func(string) string, log func(level, message string)) (source.Source, error) {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal([]byte(text), &kind); err != nil {
		return nil, fmt.Errorf("read how a deployment is reached: %w", err)
	}
	if env == nil {
		env = os.Getenv
	}
	switch kind.Kind {
	case "bosh":
		return deploymentFromReach(text, env, log)
	case "bosh-host":
		return hostFromReach(text, env, log)
	}
	return nil, fmt.Errorf("read how a deployment is reached: %q is not of a director", kind.Kind)
}

func deploymentFromReach(text string, env func(string) string, log func(level, message string)) (*Source, error) {
	var r reach
	if err := decodeReach(text, &r); err != nil {
		return nil, err
	}
	return New(Options{
		Connect: &DirectorOptions{
			Target: r.Director, Username: r.Username, CACert: r.CACert, Proxy: r.Proxy,
			Env: env, Log: log, StateDir: r.StateDir, AcceptChangedKeys: r.AcceptKeys,
		},
		Deployment: r.Deployment, Name: r.Name, PasswordEnv: r.PasswordEnv, PasswordFile: r.PasswordFile,
		Locations: r.Locations, Jobs: r.Jobs, Exact: r.Exact,
	})
}

func decodeReach(text string, into any) error {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("read how a deployment is reached: %w", err)
	}
	return nil
}
