package kubernetes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/source"
	"lockstep/target/kubernetes"
)

// Source is the source of one specification. Make it with New or FromReach.
type Source struct{ spec Specification }

var (
	_ source.Lister  = (*Source)(nil)
	_ source.Placer  = (*Source)(nil)
	_ source.Remover = (*Source)(nil)
)

// New makes a source. It contacts nothing; an error, of KindInvalid, is about
// the specification.
func New(s Specification) (*Source, error) {
	if err := s.check(); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("use the specification of %q", s.Name), Err: err,
			Hint: "correct it in the configuration file",
		}
	}
	s.Locations = s.Locations.Or(lockstep.ContainerLocations())
	return &Source{s}, nil
}

// Info names the deployment; see source.Key.
func (s *Source) Info() lockstep.DeploymentInfo {
	return lockstep.DeploymentInfo{Name: s.spec.Name, Source: "kubernetes", Key: source.Key(s.spec.Identity, s.spec.File, s.spec.Name)}
}

// Places implements source.Placer. The name of a context is that of a kubeconfig.
func (s *Source) Places() []string {
	c := s.spec.Cluster
	cluster := "kubernetes:in-cluster "
	if !c.InCluster {
		cluster = "kubernetes:" + strings.Join(c.Kubeconfig, ":") + "#" + c.Context + " "
	}
	if len(s.spec.Instances) == 0 {
		return []string{cluster + s.spec.which()}
	}
	var places []string
	for _, in := range s.spec.Instances {
		places = append(places, cluster+s.spec.Namespace+"/"+in.Pod+" container "+cmp.Or(in.Container, s.spec.Container))
	}
	return places
}

// reach is what Reach says.
type reach struct {
	Kind string `json:"kind"` // "kubernetes"
	Specification
}

// Reach is the specification as JSON, for FromReach.
func (s *Source) Reach() string {
	out, err := json.Marshal(reach{"kubernetes", s.spec})
	if err != nil {
		// A specification holds texts, numbers and lists of them; it always
		// encodes.
		panic(fmt.Sprintf("encode specification: %v", err))
	}
	return string(out)
}

// IsReach reports whether a text is Reach of a Source.
func IsReach(text string) bool {
	var r struct {
		Kind string `json:"kind"`
	}
	return json.Unmarshal([]byte(text), &r) == nil && r.Kind == "kubernetes"
}

// FromReach makes the source again that Reach described. The file that it came
// from need not be there any more; the key is the same.
func FromReach(text string) (*Source, error) {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	var r reach
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("read how a deployment is reached: %w", err)
	}
	return New(r.Specification)
}

// Place is which pods of which cluster the source of a Reach finds; ok is false
// where the text is not Reach of a Source. Contexts of two kubeconfigs are two
// clusters, whatever their names: many are called default.
func Place(text string) (place string, ok bool) {
	var r reach
	if json.Unmarshal([]byte(text), &r) != nil || r.Kind != "kubernetes" {
		return "", false
	}
	which := r.which()
	if r.Group != "" {
		which += " as " + r.Group
	}
	which += " of " + r.Cluster.String()
	if !r.Cluster.InCluster {
		which += " in " + strings.Join(r.Cluster.Kubeconfig, ":")
	}
	return which, true
}

// List asks the cluster again which pods there are.
func (s *Source) List(ctx context.Context) ([]source.Listing, error) {
	c, err := kubernetes.Open(s.spec.Cluster)
	if err != nil {
		return nil, err
	}
	found, err := s.find(ctx, c)
	return listed(found), errors.Join(err, c.Close())
}

func listed(found []found) []source.Listing {
	list := make([]source.Listing, len(found))
	for i, f := range found {
		list[i] = source.Listing{Group: f.group, ID: f.id, Index: f.index, Address: f.name, Machine: machineOf(f)}
	}
	return list
}

// machineOf tells a container from every other, and from one that takes its place.
func machineOf(f found) string {
	if f.pod == nil {
		return ""
	}
	return string(f.pod.UID) + "/" + f.container
}

// Resolve asks the cluster for the pods and opens a target in each, without running
// anything there. Sidecars alone are tracked; each is made when it is first needed. A pod
// that does not run, or is not there, is an instance that cannot be reached; so are all
// that are listed where the cluster does not answer, which keeps nobody from unlocking
// what is elsewhere.
func (s *Source) Resolve(ctx context.Context, track source.Tracker) (*source.Resolved, error) {
	c, err := kubernetes.Open(s.spec.Cluster)
	if err != nil {
		return nil, err
	}
	list, unasked := s.find(ctx, c)
	if unasked != nil && len(s.spec.Instances) == 0 {
		return nil, errors.Join(unasked, c.Close())
	}
	if unasked != nil {
		list, _ = s.ofList(ctx, nil) // asks nobody
		for i := range list {
			list[i].container = s.containerOf(list[i])
		}
	}
	info := s.Info()
	r := &source.Resolved{
		Name: info.Name, Key: info.Key, Locations: s.spec.Locations, Listed: listed(list),
		Overrides: source.Overrides{Jobs: s.spec.Jobs, Apply: s.spec.Limits.Apply},
	}
	sidecars, err := s.sidecars(ctx, c, list, track)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	unfit, keeps := unfit(list, s.spec.Locations, sidecars != nil)
	slots := newSlots(s, c, list)
	for i, f := range list {
		for k, folder := range keeps[i] {
			keeps[i][k] = c.Server() + " " + folder
		}
		r.Instances = append(r.Instances, source.Instance{
			Group: f.group, ID: f.id, Index: f.index, Address: f.name, Target: slots.open(f, sidecars[slotOf(f)]),
			Bootstrap: i == 0 || list[i-1].group != f.group, Root: isRoot(f), Unfit: cmp.Or(unasked, unfit[i]),
			Machine: machineOf(f), Keeps: keeps[i], Scripts: scriptsOf(f),
		})
	}
	var once sync.Once
	var failed error
	r.Release = func(ctx context.Context) error {
		once.Do(func() { failed = s.release(ctx, c, slots, r.Instances, sidecars, track) })
		return failed
	}
	r.Advice = func(ctx context.Context) []string { return s.advice(ctx, c) }
	return r, nil
}

// release closes targets, and ends their sidecars.
func (s *Source) release(ctx context.Context, c *kubernetes.Cluster, slots *slots, instances []source.Instance, sidecars map[string]lockstep.Resource, track source.Tracker) error {
	needed := s.needed(ctx, instances)
	var errs []error
	for _, in := range instances {
		errs = append(errs, in.Target.Close())
	}
	maps.DeleteFunc(sidecars, func(slot string, _ lockstep.Resource) bool { return needed[slot] })
	gone, err := endAll(ctx, c, slots.where, slices.Collect(maps.Values(sidecars)))
	for _, x := range gone {
		if track != nil {
			_ = track.Released(ctx, x) // one that the journal names and that is gone harms nobody
		}
	}
	return errors.Join(append(errs, err, c.Close())...)
}

// advice says that no events are written of pods, where the account may not do that.
func (s *Source) advice(ctx context.Context, c *kubernetes.Cluster) []string {
	if may, err := c.MayTell(ctx, s.spec.Namespace); may || err != nil { // who cannot be asked is not blamed
		return nil
	}
	return []string{fmt.Sprintf("`kubectl describe pod` will not show what is locked in namespace %s: its account may not create events.events.k8s.io there; "+
		"lockstep kubernetes rbac prints the role with that right, too", s.spec.Namespace)}
}

// isRoot reports whether it is written that commands run as root: the user of an image
// the API does not tell.
func isRoot(f found) bool {
	if f.pod == nil {
		return false
	}
	var user *int64
	if c := f.pod.Spec.SecurityContext; c != nil {
		user = c.RunAsUser
	}
	if c := containerIn(f.pod, f.container); c != nil && c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
		user = c.SecurityContext.RunAsUser
	}
	return user != nil && *user == 0
}

// slots know which pod is in which slot, as long as a source is resolved: where one is
// gone, another takes its place.
type slots struct {
	source  *Source
	cluster *kubernetes.Cluster

	mu    sync.Mutex
	taken map[string]bool   // pods in slots, by uid
	ids   map[string]string // uid of a pod, by the slot that it is in
	names map[string]string // name of a pod, likewise
}

func newSlots(s *Source, c *kubernetes.Cluster, list []found) *slots {
	out := &slots{source: s, cluster: c, taken: map[string]bool{}, ids: map[string]string{}, names: map[string]string{}}
	for _, f := range list {
		out.put(f, f.pod)
	}
	return out
}

func slotOf(f found) string { return f.group + "/" + f.id }

// put notes that a pod is in a slot now. The caller holds the lock, or is alone.
func (s *slots) put(slot found, pod *corev1.Pod) {
	if pod == nil {
		return
	}
	delete(s.taken, s.ids[slotOf(slot)])
	s.ids[slotOf(slot)], s.names[slotOf(slot)] = string(pod.UID), pod.Name
	s.taken[string(pod.UID)] = true
}

// where is the pod that is in a slot, or the last that was; "" where none was.
func (s *slots) where(slot string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names[slot]
}

// open is how a slot is reached: in a sidecar, where it has one, else in its container.
func (s *slots) open(f found, sidecar lockstep.Resource) *kubernetes.Target {
	at := kubernetes.Container{Namespace: s.source.spec.Namespace, Pod: f.name, Container: f.container}
	var next kubernetes.Successor
	if !f.stable {
		next = func(ctx context.Context, gone kubernetes.Container) (kubernetes.Container, bool, error) {
			return s.next(ctx, f, gone)
		}
	}
	if sidecar.Name != "" {
		return s.cluster.Sidecar(at, next, sidecar.Name, s.source.spec.SidecarImage)
	}
	return s.cluster.Container(at, next)
}

// next is the pod that has taken the place of one that is gone: the oldest of its group
// that is in no slot, and has its index where pods have one of their own.
func (s *slots) next(ctx context.Context, slot found, gone kubernetes.Container) (kubernetes.Container, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, err := s.source.ask(ctx, s.cluster)
	if err != nil {
		return gone, false, err
	}
	for _, f := range list {
		if f.pod != nil && f.name == gone.Pod { // it restarts
			return gone, false, nil
		}
	}
	for _, f := range list {
		if f.pod == nil || f.group != slot.group || slot.fixed && f.index != slot.index || s.taken[string(f.pod.UID)] {
			continue
		}
		s.put(slot, f.pod)
		gone.Pod, gone.Container = f.name, f.container
		return gone, true, nil
	}
	return gone, false, nil
}
