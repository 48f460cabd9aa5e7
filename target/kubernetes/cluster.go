package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"lockstep"
	"lockstep/target"
)

const (
	// callTimeout bounds one question to the API. A cluster that hangs must keep
	// nobody from unlocking what is elsewhere.
	callTimeout = 30 * time.Second
	// pageSize is how many pods are asked for at once, and MaxPods how many are
	// taken in all.
	pageSize = 250
	// MaxPods is how many pods one list may have.
	MaxPods = 2000
	// maxKubeconfig bounds each kubeconfig file, in bytes.
	maxKubeconfig = 1 << 20
)

// Config says which cluster is meant, and who asks. It holds no secret: files that
// have some are named.
type Config struct {
	// Kubeconfig are files, of which the first that says something holds, as with
	// $KUBECONFIG. Context is which of their contexts; "" is their current one.
	Kubeconfig []string `json:"kubeconfig,omitempty"`
	Context    string   `json:"context,omitempty"`
	// InCluster: the service account of the pod that this process runs in, in
	// place of a kubeconfig.
	InCluster bool `json:"in_cluster,omitempty"`
}

// String names the cluster in messages.
func (c Config) String() string {
	switch {
	case c.InCluster:
		return "the cluster that this runs in"
	case c.Context == "":
		return "the current context of " + strings.Join(c.Kubeconfig, ", ")
	}
	return "context " + c.Context
}

// Cluster is a way to the API of one cluster. All methods may be called
// concurrently.
type Cluster struct {
	config Config
	rest   *rest.Config
	// A client for each group of the API that is asked.
	core, app, events, reviews *rest.RESTClient
}

// quiet keeps what the client's libraries log off the terminal: what matters comes
// back as an error.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Open makes a way to a cluster; nothing is dialed. The error is of KindInvalid.
func Open(c Config) (*Cluster, error) {
	quiet()
	config, err := load(c)
	if err == nil {
		err = checkServer(config)
	}
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "use " + c.String(), Err: err, Hint: hintOfConfig(c, err),
		}
	}
	config.UserAgent = "lockstep"
	config.WarningHandler = rest.NoWarnings{}
	config.QPS, config.Burst = 50, 100
	out := &Cluster{config: c, rest: config}
	for _, group := range []struct {
		client  **rest.RESTClient
		version schema.GroupVersion
		path    string
	}{
		{&out.core, corev1.SchemeGroupVersion, "/api"}, {&out.app, appsv1.SchemeGroupVersion, "/apis"},
		{&out.events, eventsv1.SchemeGroupVersion, "/apis"}, {&out.reviews, authorizationv1.SchemeGroupVersion, "/apis"},
	} {
		if *group.client, err = client(config, group.version, group.path); err != nil {
			return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: "use " + c.String(), Err: err, Hint: hintOfConfig(c, err)}
		}
	}
	return out, nil
}

// noContext: a context that is not there, and those that are.
type noContext struct {
	name string
	has  []string
}

func (e noContext) Error() string {
	if e.name == "" {
		return "it has no current context"
	}
	return fmt.Sprintf("there is no context %q", e.name)
}

func load(c Config) (*rest.Config, error) {
	if c.InCluster {
		return rest.InClusterConfig()
	}
	for _, file := range c.Kubeconfig {
		if info, err := os.Stat(file); err == nil && info.Size() > maxKubeconfig {
			return nil, fmt.Errorf("%s is larger than 1 MiB", file)
		}
	}
	rules := &clientcmd.ClientConfigLoadingRules{Precedence: c.Kubeconfig}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, err
	}
	name := c.Context
	if name == "" {
		name = raw.CurrentContext
	}
	if raw.Contexts[name] == nil {
		e := noContext{name: name}
		for has := range raw.Contexts {
			e.has = append(e.has, has)
		}
		slices.Sort(e.has)
		return nil, e
	}
	return loader.ClientConfig()
}

// checkServer refuses a server that anybody on the way could stand in for.
func checkServer(c *rest.Config) error {
	u, err := url.Parse(c.Host)
	if err != nil || u.Hostname() == "" {
		return errors.New("its server is not an address")
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		return nil
	}
	switch {
	case u.Scheme != "https":
		return errors.New("whoever reaches its server is believed: it is not spoken to over a network without TLS")
	case c.Insecure:
		return errors.New("it does not verify the server's certificate")
	}
	return nil
}

func hintOfConfig(c Config, err error) string {
	var none noContext
	switch {
	case errors.As(err, &none) && len(none.has) > 0:
		return "write one of these as kubernetes: {context: }: " + strings.Join(none.has, ", ")
	case c.InCluster:
		return "in_cluster is for a Lockstep that runs in a pod with a service account; else name a kubeconfig"
	case errors.As(err, &none):
		return "is it the right file? see kubectl config get-contexts"
	case strings.Contains(err.Error(), "verify"):
		return "write certificate-authority in the kubeconfig, in place of insecure-skip-tls-verify"
	}
	return "try: kubectl config view, and look at kubeconfig and context"
}

func client(config *rest.Config, version schema.GroupVersion, path string) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion, c.APIPath, c.NegotiatedSerializer = &version, path, codecs.WithoutConversion()
	c.ContentType = runtime.ContentTypeJSON
	c.Wrap(bounded)
	return rest.RESTClientFor(c)
}

// The kinds that are asked for, and no others: all that Kubernetes has would double
// the size of the program.
var (
	kinds      = runtime.NewScheme()
	codecs     = serializer.NewCodecFactory(kinds)
	parameters = runtime.NewParameterCodec(kinds)
)

func init() {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, eventsv1.AddToScheme, authorizationv1.AddToScheme} {
		if err := add(kinds); err != nil {
			panic(fmt.Sprintf("register kinds of Kubernetes: %v", err)) // they are constants
		}
	}
	metav1.AddToGroupVersion(kinds, schema.GroupVersion{Version: "v1"})
}

// Config is what the Cluster was opened with.
func (c *Cluster) Config() Config { return c.config }

// Server is the address of the API.
func (c *Cluster) Server() string {
	u, err := url.Parse(c.rest.Host)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// Close lets go of idle connections.
func (c *Cluster) Close() error {
	for _, r := range []*rest.RESTClient{c.core, c.app, c.events, c.reviews} {
		r.Client.CloseIdleConnections()
	}
	return nil
}

// Pods lists the pods of a namespace that a selector selects, by name. The
// selector is that of kubectl get -l.
func (c *Cluster) Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	var pods []corev1.Pod
	options := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		var page corev1.PodList
		err := c.core.Get().Namespace(namespace).Resource("pods").VersionedParams(&options, parameters).Do(ctx).Into(&page)
		if err != nil {
			return nil, c.Explain(fmt.Sprintf("list the pods of namespace %s in %s", namespace, c.config), because(ctx, err))
		}
		if pods = append(pods, page.Items...); len(pods) > MaxPods {
			return nil, &lockstep.Error{
				Kind: lockstep.KindInvalid, Op: fmt.Sprintf("list the pods of namespace %s in %s", namespace, c.config),
				Err:  fmt.Errorf("more than %d pods have the labels %s", MaxPods, selector),
				Hint: "write a narrower selector",
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return pods, nil
		}
	}
}

// Pod asks for one pod. There is none where both the pod and the error are nil.
func (c *Cluster) Pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var pod corev1.Pod
	found, err := c.get(ctx, c.core, "pods", namespace, name, &pod)
	if !found {
		return nil, err
	}
	return &pod, nil
}

// StatefulSet asks for one, as Pod does.
func (c *Cluster) StatefulSet(ctx context.Context, namespace, name string) (*appsv1.StatefulSet, error) {
	var set appsv1.StatefulSet
	found, err := c.get(ctx, c.app, "statefulsets", namespace, name, &set)
	if !found {
		return nil, err
	}
	return &set, nil
}

// Deployment asks for one, as Pod does.
func (c *Cluster) Deployment(ctx context.Context, namespace, name string) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	found, err := c.get(ctx, c.app, "deployments", namespace, name, &d)
	if !found {
		return nil, err
	}
	return &d, nil
}

func (c *Cluster) get(ctx context.Context, r *rest.RESTClient, resource, namespace, name string, into runtime.Object) (found bool, err error) {
	ctx, cancel := within(ctx)
	defer cancel()
	err = r.Get().Namespace(namespace).Resource(resource).Name(name).Do(ctx).Into(into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, c.Explain(fmt.Sprintf("ask for %s %s of namespace %s in %s", strings.TrimSuffix(resource, "s"), name, namespace, c.config), because(ctx, err))
	}
	return true, nil
}

func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, callTimeout, errNoAnswer)
}

var errNoAnswer = fmt.Errorf("no answer within %s", callTimeout)

// because prefers the reason why a context ended to what that did to a call.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Explain says what an error of the API means, and what to do about it.
func (c *Cluster) Explain(op string, err error) error {
	out := &lockstep.Error{Op: op, Err: err}
	var dial *net.OpError
	switch {
	case apierrors.IsForbidden(err):
		out.Kind = lockstep.KindRefused
		out.Hint = fmt.Sprintf("it may not %s: lockstep kubernetes rbac prints the role that is needed, for kubectl apply -f -", forbidden(err))
	case apierrors.IsUnauthorized(err):
		out.Kind = lockstep.KindRefused
		out.Hint = fmt.Sprintf("the API does not know who asks: is the token or the certificate of %s expired? try: kubectl%s auth whoami", c.config, c.flags())
	case errors.As(err, &dial) && dial.Op == "dial", errors.Is(err, errNoAnswer):
		out.Err = target.Unreached(err)
		out.Hint = fmt.Sprintf("is the API server %s up and reachable from here? try: kubectl%s version", c.Server(), c.flags())
	case strings.Contains(err.Error(), "x509:"):
		out.Hint = fmt.Sprintf("look at certificate-authority of %s: it must be that of %s", c.config, c.Server())
	}
	return out
}

// flags are what kubectl wants to be told, so that it asks as we do.
func (c *Cluster) flags() string {
	var flags string
	if len(c.config.Kubeconfig) == 1 {
		flags += " --kubeconfig " + c.config.Kubeconfig[0]
	}
	if c.config.Context != "" {
		flags += " --context " + c.config.Context
	}
	return flags
}

// forbidden is the verb and the resource that the API's refusal names: it says
// `... User "x" cannot list resource "pods" in API group ...`.
func forbidden(err error) string {
	_, rest, found := strings.Cut(err.Error(), " cannot ")
	verb, rest, ok := strings.Cut(rest, ` resource "`)
	resource, _, closed := strings.Cut(rest, `"`)
	if !found || !ok || !closed || len(verb) > 20 || len(resource) > 80 {
		return "do that"
	}
	return verb + " " + resource
}
