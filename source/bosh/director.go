package bosh

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
)

// DirectorOptions say which director, and how it is spoken to. Only Target,
// Username and Password are required.
type DirectorOptions struct {
	// Target is a URL or a host; see directorURL.
	Target             string
	Username, Password string
	// CACert is PEM text or the path of a file; "" trusts the system's
	// authorities.
	CACert string
	// Proxy is as BOSH_ALL_PROXY, which it takes the place of unless it is "".
	Proxy string
	// Env reads the environment: BOSH_ALL_PROXY, HTTPS_PROXY, NO_PROXY, HOME.
	// nil is os.Getenv.
	Env func(name string) string
	// Log is told what is done, level being debug, info, warn or error; nil
	// tells nobody. It is called concurrently.
	Log func(level, message string)
	// StateDir is where the jumpbox's host key is remembered; "" or a folder
	// that cannot be written remembers it for this process only.
	StateDir string
	// Jumpboxes, if not nil, are shared with the directors that are given the
	// same.
	Jumpboxes *Jumpboxes
	// AcceptChangedKeys: a jumpbox with another host key than the remembered
	// one is a warning, not an error.
	AcceptChangedKeys bool

	// Patience is for how long a director that has answered before and does not
	// now, because it is restarted, is asked again. The contract's five attempts
	// are made in any case.
	Patience time.Duration

	// PollPause lies between two looks at a task and RetryPause before a
	// retry; 0 is 500 ms each. Timeout bounds one request, 0 is 2 minutes;
	// TaskTimeout bounds a task, 0 is 30 minutes.
	PollPause, RetryPause, Timeout, TaskTimeout time.Duration
}

func (o DirectorOptions) withDefaults() DirectorOptions {
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Log == nil {
		o.Log = func(string, string) {}
	}
	o.PollPause = cmp.Or(o.PollPause, 500*time.Millisecond)
	o.RetryPause = cmp.Or(o.RetryPause, 500*time.Millisecond)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Minute)
	o.TaskTimeout = cmp.Or(o.TaskTimeout, 30*time.Minute)
	return o
}

// Director is a client of one director. All methods may be called
// concurrently.
type Director struct {
	options DirectorOptions
	url     string // https://HOST:PORT
	http    *http.Client
	way     *way

	answered atomic.Bool // it has, at least once

	mu   sync.Mutex
	info *Info
	auth authorizer
}

// NewDirector makes a client and makes no request. Errors, of KindInvalid, are
// about the options: `invalid bosh URL`, `Missing PEM block`, a file that is
// not there. The caller closes it.
func NewDirector(o DirectorOptions) (*Director, error) {
	o = o.withDefaults()
	base, err := directorURL(o.Target)
	if err != nil {
		return nil, err
	}
	pool, err := certificates(o.CACert)
	if err != nil {
		return nil, err
	}
	w, err := newWay(cmp.Or(o.Proxy, o.Env("BOSH_ALL_PROXY")), o.Env, newPins(o.StateDir, o.AcceptChangedKeys, o.Log), o.Jumpboxes)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                 httpsProxy(o.Env),
		DialContext:           w.dial,
		DisableKeepAlives:     true,
		TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: o.Timeout,
	}
	return &Director{
		options: o, url: base, way: w,
		http: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// URL is the director's address as https://HOST:PORT.
func (d *Director) URL() string { return d.url }

// Close lets go of the connection to the jumpbox, if there is one. It may be
// called twice. Targets that were opened through it lose their connections; whoever
// uses one again has it connect anew.
func (d *Director) Close() error { return d.way.Close() }

// Info is what a director says of itself to everybody.
type Info struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	// Auth is how users prove who they are: "uaa", or anything else for a
	// name and a password.
	Auth struct {
		Type    string `json:"type"`
		Options struct {
			URL string `json:"url"`
		} `json:"options"`
	} `json:"user_authentication"`
}

// Info asks who the director is: once in the life of the client, unless that
// fails. All other methods need it and call it.
func (d *Director) Info(ctx context.Context) (Info, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.info != nil {
		return *d.info, nil
	}
	unhealthy := func(err error) error {
		return &lockstep.Error{
			Op: "bosh director unreachable or unhealthy", Err: err,
			Hint: "check that " + d.url + " is the director and that its CA certificate is right: bosh -e " + d.url + " env",
		}
	}
	data, err := d.call(ctx, request{method: http.MethodGet, url: d.url + "/info", limit: maxSmall})
	if err != nil {
		return Info{}, unhealthy(err)
	}
	var info Info
	if err := json.Unmarshal(data, &info); err != nil {
		return Info{}, unhealthy(fmt.Errorf("read its answer: %w", err))
	}
	auth, err := d.authorizer(info)
	if err != nil {
		return Info{}, err
	}
	d.info, d.auth = &info, auth
	return info, nil
}

// Deployments are the names of all deployments, in the director's order.
func (d *Director) Deployments(ctx context.Context) ([]string, error) {
	data, err := d.get(ctx, "/deployments", maxLarge)
	if err != nil {
		return nil, d.advised("list deployments", err)
	}
	var list []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, d.advised("read the list of deployments", misread{err})
	}
	names := make([]string, 0, len(list))
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names, nil
}

// Manifest is a deployment's manifest as the director has it, which holds
// credentials.
func (d *Director) Manifest(ctx context.Context, deployment string) (string, error) {
	data, err := d.get(ctx, deploymentPath(deployment), maxLarge)
	if err != nil {
		return "", d.advised("fetch the manifest of "+deployment, err)
	}
	var answer struct {
		Manifest string `json:"manifest"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", d.advised("read the manifest of "+deployment, misread{err})
	}
	return answer.Manifest, nil
}

// VM is a machine as the director lists it.
type VM struct {
	Group     string   `json:"job_name"`
	ID        string   `json:"id"`
	Index     int      `json:"-"`
	Bootstrap bool     `json:"bootstrap"`
	IPs       []string `json:"ips"`
	// Machine is the cloud's name of the VM: one that was made anew has
	// another.
	Machine string `json:"vm_cid"`
	// State is what the director says of it, a word or two.
	State string `json:"job_state"`
}

// silent reports whether the director had no answer from the machine's agent when it
// listed it. Then it cannot make a user there either, and fails for the whole group.
func (v VM) silent() bool { return v.State == "unresponsive agent" }

// VMs are a deployment's machines, in the director's order.
func (d *Director) VMs(ctx context.Context, deployment string) ([]VM, error) {
	fail := func(err error) ([]VM, error) { return nil, d.advised("list the VMs of "+deployment, err) }
	task, err := d.startTask(ctx, request{method: http.MethodGet, url: d.url + deploymentPath(deployment) + "/vms?format=full"})
	if err != nil {
		return fail(err)
	}
	result, err := d.taskResult(ctx, task)
	if err != nil {
		return fail(err)
	}
	vms, err := parseVMs(result)
	if err != nil {
		return fail(err)
	}
	return vms, nil
}

// parseVMs reads JSON objects, one after another.
func parseVMs(data []byte) ([]VM, error) {
	var vms []VM
	err := eachJSON(data, func(raw json.RawMessage) error {
		var x struct {
			VM
			Index *int `json:"index"`
		}
		if err := json.Unmarshal(raw, &x); err != nil {
			return err
		}
		if x.Index == nil {
			return fmt.Errorf("vmInfo index is nil: of %s/%s", x.Group, x.ID)
		}
		x.VM.Index = *x.Index
		if err := errors.Join(lockstep.CheckName("instance group", x.Group), lockstep.CheckName("instance id", x.ID)); err != nil {
			return err
		}
		vms = append(vms, x.VM)
		return nil
	})
	return vms, err
}

func deploymentPath(name string) string { return "/deployments/" + url.PathEscape(name) }
