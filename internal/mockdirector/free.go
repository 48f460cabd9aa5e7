package mockdirector

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Free is a director that answers in any order and knows what its deployments
// are at the moment, for programs that may call as they like. All methods may
// be called concurrently.
type Free struct {
	server *httptest.Server

	mu          sync.Mutex
	deployments map[string]freeDeployment
	tasks       []string // their results
	seen        []string
	uaa         *Tokens
	disturb     func(w http.ResponseWriter, r *http.Request) bool
}

type freeDeployment struct {
	manifest  string
	instances []*Instance
}

// Tokens is what a director wants that leaves logins to a UAA: itself, here.
// Fields are set before the first call.
type Tokens struct {
	// Life is how many calls a token is good for; 0 is any number.
	Life int

	left []int // for each token that was made
}

// NewFree starts a director without deployments. It is closed when the test
// ends.
func NewFree(tb testing.TB) *Free {
	tb.Helper()
	d := StartFree()
	tb.Cleanup(d.Close)
	return d
}

// StartFree is NewFree outside of a test: the caller closes it.
func StartFree() *Free {
	d := &Free{deployments: map[string]freeDeployment{}}
	d.server = httptest.NewUnstartedServer(http.HandlerFunc(d.answer))
	d.server.Config.ErrorLog = quiet()
	d.server.StartTLS()
	return d
}

// Close ends the director.
func (d *Free) Close() { d.server.Close() }

// URL is where the director listens, https://127.0.0.1:PORT.
func (d *Free) URL() string { return d.server.URL }

// CACert is the certificate to trust, as PEM text.
func (d *Free) CACert() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.server.Certificate().Raw}))
}

// Deploy makes a deployment what it says, in place of what it was.
func (d *Free) Deploy(name, manifest string, instances ...*Instance) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deployments[name] = freeDeployment{manifest, instances}
}

// UAA has the director want tokens from now on.
func (d *Free) UAA(t *Tokens) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.uaa = t
}

// Disturb has do look at each request before the director does; a request that
// it says it has answered is not answered again. nil disturbs no more.
func (d *Free) Disturb(do func(w http.ResponseWriter, r *http.Request) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disturb = do
}

// Seen are the calls that were made, as METHOD URL.
func (d *Free) Seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.seen)
}

// TokensMade is how many tokens were made.
func (d *Free) TokensMade() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.uaa == nil {
		return 0
	}
	return len(d.uaa.left)
}

func (d *Free) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	d.seen = append(d.seen, r.Method+" "+r.URL.String())
	disturb := d.disturb
	d.mu.Unlock()
	if disturb != nil && disturb(w, r) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch path := r.URL.Path; {
	case path == "/info":
		d.info(w)
	case path == "/oauth/token" && d.uaa != nil:
		d.token(w, r)
	case !d.admits(r):
		http.Error(w, "not authorized", http.StatusUnauthorized)
	case strings.HasPrefix(path, "/tasks/"):
		d.task(w, r)
	case path == "/deployments":
		d.list(w)
	case strings.HasPrefix(path, "/deployments/"):
		d.deployment(w, r, body)
	default:
		http.NotFound(w, r)
	}
}

func respond(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (d *Free) info(w http.ResponseWriter) {
	auth := map[string]any{"type": "basic", "options": map[string]string{}}
	if d.uaa != nil {
		auth = map[string]any{"type": "uaa", "options": map[string]string{"url": d.server.URL}}
	}
	respond(w, map[string]any{"name": "free", "user_authentication": auth})
}

func (d *Free) token(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != basic {
		http.Error(w, "no such client", http.StatusUnauthorized)
		return
	}
	d.uaa.left = append(d.uaa.left, d.uaa.Life)
	respond(w, map[string]any{"token_type": "bearer", "access_token": strconv.Itoa(len(d.uaa.left)), "expires_in": 3600})
}

// FreePassword is the one that a Free takes, with Username. It can be told from
// all other texts.
const FreePassword = "pa55w0rd-of-the-free-director"

var basic = "Basic " + base64.StdEncoding.EncodeToString([]byte(Username+":"+FreePassword))

// admits looks at who asks.
func (d *Free) admits(r *http.Request) bool {
	got := r.Header.Get("Authorization")
	if d.uaa == nil {
		return got == basic
	}
	text, ok := strings.CutPrefix(got, "bearer ")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 1 || n > len(d.uaa.left) {
		return false
	}
	d.uaa.left[n-1]--
	return d.uaa.Life == 0 || d.uaa.left[n-1] >= 0
}

func (d *Free) list(w http.ResponseWriter) {
	list := []map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(d.deployments)) {
		list = append(list, map[string]string{"name": name})
	}
	respond(w, list)
}

func (d *Free) deployment(w http.ResponseWriter, r *http.Request, body []byte) {
	name, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/deployments/"), "/")
	dep, ok := d.deployments[name]
	switch {
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		respond(w, map[string]any{"code": 70000, "description": "Deployment '" + name + "' doesn't exist"})
	case what == "":
		respond(w, map[string]string{"manifest": dep.manifest})
	case what == "vms":
		d.begin(w, machines(dep.instances))
	case what == "ssh" && r.Method == http.MethodPost:
		d.begin(w, dep.ssh(decode(body)))
	default:
		http.NotFound(w, r)
	}
}

// begin answers with a task that has that result.
func (d *Free) begin(w http.ResponseWriter, result string) {
	d.tasks = append(d.tasks, result)
	w.Header().Set("Location", fmt.Sprintf("/tasks/%d", len(d.tasks)))
	w.WriteHeader(http.StatusFound)
}

func (d *Free) task(w http.ResponseWriter, r *http.Request) {
	id, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/tasks/"), "/")
	n, err := strconv.Atoi(id)
	switch {
	case err != nil || n < 1 || n > len(d.tasks):
		http.NotFound(w, r)
	case what == "":
		respond(w, map[string]any{"id": n, "state": "done"})
	case r.URL.Query().Get("type") == "result":
		_, _ = io.WriteString(w, d.tasks[n-1])
	default:
		w.WriteHeader(http.StatusPartialContent)
	}
}

// ssh makes and removes users.
func (dep freeDeployment) ssh(b sshBody) string {
	hosts := []map[string]any{}
	for _, in := range dep.instances {
		if in.Group != b.Target.Job || len(b.Target.IDs) > 0 && !slices.Contains(b.Target.IDs, in.ID) {
			continue
		}
		if b.Command == "cleanup" {
			in.removeUsers(b.Params.UserRegex)
			continue
		}
		in.addUser(b.Params.User, b.Params.PublicKey)
		hosts = append(hosts, map[string]any{
			"status": "success", "ip": in.Address(), "host_public_key": in.HostKey(), "id": in.ID, "index": in.Index,
		})
	}
	out, _ := json.Marshal(hosts)
	return string(out)
}
