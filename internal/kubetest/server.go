// Package kubetest is an API server of Kubernetes for tests that need nothing but
// Go: real HTTP over TLS, real WebSocket and SPDY sessions, and commands that run as
// processes of this machine. What would lie between it and a container can be killed
// in several ways.
package kubetest

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fieldselector "k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Token is what the kubeconfig of a Server logs in with.
const Token = "token-of-the-tests"

// Server is the API server. Its methods may be called concurrently.
type Server struct {
	http *httptest.Server
	dir  string

	mu          sync.Mutex
	pods        map[string]corev1.Pod // by namespace/name
	sets        map[string]appsv1.StatefulSet
	deployments map[string]appsv1.Deployment
	forbidden   map[string]bool
	silent      map[string]string // by namespace/name: why no command begins in a pod
	old         bool
	sessions    map[session]bool
	processes   map[int]bool
	sidecars    map[string]int // pids of ephemeral containers, by namespace/pod/name
	missing     []string       // images that no node has
	requests    []string
	events      []eventsv1.Event
}

// session is one exec.
type session interface {
	cut()             // as where the API server dies
	vanish()          // as where the kubelet dies: all streams end, and no status was said
	lie()             // as some report that: a status of success
	deny(text string) // a status of failure, of which the text is said
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New(t.TempDir())
	t.Cleanup(s.Close)
	return s
}

// New starts a server that keeps its kubeconfig in a folder.
func New(dir string) *Server {
	s := &Server{
		dir: dir, pods: map[string]corev1.Pod{}, sets: map[string]appsv1.StatefulSet{}, deployments: map[string]appsv1.Deployment{},
		forbidden: map[string]bool{}, silent: map[string]string{}, sessions: map[session]bool{}, processes: map[int]bool{},
		sidecars: map[string]int{},
	}
	s.http = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	return s
}

// Close ends all sessions and all commands.
func (s *Server) Close() {
	s.Kill()
	s.http.Close()
}

// Kill ends all sessions and all commands that they began, as the end of a pod does.
// What such a command began in a session of its own is left to the caller.
func (s *Server) Kill() {
	s.Cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	for pid := range s.processes {
		_ = syscall.Kill(-pid, syscall.SIGKILL) // a group that it made
	}
	clear(s.processes)
}

// Kubeconfig writes a kubeconfig with the contexts here and other and gives its path.
func (s *Server) Kubeconfig() (string, error) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw})
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %q}}]
users: [{name: u, user: {token: %q}}]
contexts: [{name: here, context: {cluster: c, user: u, namespace: shop}}, {name: other, context: {cluster: c, user: u}}]
current-context: here
`, s.http.URL, base64.StdEncoding.EncodeToString(ca), Token)
	path := filepath.Join(s.dir, "kubeconfig")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// Put has the server know pods, StatefulSets and Deployments, by value.
func (s *Server) Put(objects ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		switch o := o.(type) {
		case corev1.Pod:
			s.pods[o.Namespace+"/"+o.Name] = o
		case appsv1.StatefulSet:
			s.sets[o.Namespace+"/"+o.Name] = o
		case appsv1.Deployment:
			s.deployments[o.Namespace+"/"+o.Name] = o
		default:
			panic(fmt.Sprintf("kubetest does not know %T", o))
		}
	}
}

// Remove removes a pod.
func (s *Server) Remove(namespace, pod string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, namespace+"/"+pod)
}

// Forbid refuses what RBAC would: "list pods", "create pods/exec".
func (s *Server) Forbid(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden[what] = true
}

// Allow takes back what Forbid did.
func (s *Server) Allow(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.forbidden, what)
}

// Silence has no command begin in a pod: the kubelet of its node, say, is dead. A session
// that is a WebSocket begins all the same, and is told why, as newer servers do it.
func (s *Server) Silence(namespace, pod, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[namespace+"/"+pod] = why
}

// Old makes it a server that knows no WebSocket sessions.
func (s *Server) Old() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.old = true
}

// Requests are the verbs and resources that were asked for, in order.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Cut, Vanish and Lie end all sessions, each in its way; commands run on.
func (s *Server) Cut()    { s.each(session.cut) }
func (s *Server) Vanish() { s.each(session.vanish) }
func (s *Server) Lie()    { s.each(session.lie) }

// Deny ends all sessions with a status of failure that says so.
func (s *Server) Deny(text string) { s.each(func(one session) { one.deny(text) }) }

func (s *Server) each(do func(session)) {
	s.mu.Lock()
	var all []session
	for one := range s.sessions {
		all = append(all, one)
	}
	s.mu.Unlock()
	for _, one := range all {
		do(one)
	}
}

// request is what one request asks for.
type request struct{ verb, resource, namespace, name string }

// parse reads /api/v1/namespaces/NS/pods[/NAME[/exec]] and the like.
func parse(r *http.Request) (request, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[len(parts)-1] == "selfsubjectaccessreviews" {
		return request{verb: "create", resource: "selfsubjectaccessreviews"}, true
	}
	i := slices.Index(parts, "namespaces")
	if i < 0 || len(parts) < i+3 {
		return request{}, false
	}
	q := request{verb: "list", namespace: parts[i+1], resource: parts[i+2]}
	if len(parts) > i+3 {
		q.verb, q.name = "get", parts[i+3]
	}
	if len(parts) > i+4 {
		q.resource += "/" + parts[i+4]
	}
	switch r.Method {
	case http.MethodPost:
		q.verb = "create"
	case http.MethodPatch:
		q.verb = "patch"
	}
	return q, true
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	q, ok := parse(r)
	switch what := q.verb + " " + q.resource; {
	case r.Header.Get("Authorization") != "Bearer "+Token:
		refuse(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
	case !ok:
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "there is no "+r.URL.Path)
	case s.note(what):
		refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf("%s is forbidden: User \"tests\" cannot %s resource %q in API group \"\" in the namespace %q", q.resource, q.verb, q.resource, q.namespace))
	case q.resource == "pods/exec":
		s.exec(w, r, q)
	case what == "patch pods/ephemeralcontainers":
		s.addSidecars(w, r, q)
	case what == "create events":
		s.tell(w, r)
	case q.resource == "selfsubjectaccessreviews":
		s.review(w, r)
	case q.verb == "list":
		s.list(w, r, q)
	default:
		s.get(w, q)
	}
}

// note records a request and reports whether it is forbidden.
func (s *Server) note(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, what)
	return s.forbidden[what]
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, q request) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	fields, err := fieldselector.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	s.mu.Lock()
	var names []string
	for name, pod := range s.pods {
		if pod.Namespace == q.namespace && selector.Matches(labels.Set(pod.Labels)) && fields.Matches(fieldsOf(pod)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit > 0 && from+limit < len(names) {
		list.Continue = strconv.Itoa(from + limit)
		names = names[:from+limit]
	}
	for _, name := range names[from:] {
		list.Items = append(list.Items, s.pods[name])
	}
	s.mu.Unlock()
	answer(w, http.StatusOK, list)
}

func (s *Server) get(w http.ResponseWriter, q request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found any
	switch key := q.namespace + "/" + q.name; q.resource {
	case "pods":
		if pod, ok := s.pods[key]; ok {
			pod.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
			found = pod
		}
	case "statefulsets":
		if set, ok := s.sets[key]; ok {
			set.TypeMeta = metav1.TypeMeta{Kind: "StatefulSet", APIVersion: "apps/v1"}
			found = set
		}
	case "deployments":
		if d, ok := s.deployments[key]; ok {
			d.TypeMeta = metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}
			found = d
		}
	}
	if found == nil {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", q.resource, q.name))
		return
	}
	answer(w, http.StatusOK, found)
}
