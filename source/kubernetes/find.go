package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep"
	"lockstep/target/kubernetes"
)

// Annotations, or labels, of ours, and one of others.
const (
	noteGroup   = "lockstep.group"
	noteIndex   = "lockstep.index"
	noteJob     = "lockstep.job"
	noteDefault = "kubectl.kubernetes.io/default-container"
)

// maxScript bounds a script that an annotation holds, in bytes.
const maxScript = 64 << 10

// found is an instance and its pod; pod is nil where there is none.
type found struct {
	group, id, index string
	name             string // of its pod, or what it is called where there is none
	container        string // "" where it is not known which
	stable           bool   // a pod that takes its place has its name
	fixed            bool   // a pod that takes its place has its index
	pod              *corev1.Pod
}

// find asks the cluster for the specification's pods, those that do not run too: a
// pod that is down is not one that is not wanted.
func (s *Source) find(ctx context.Context, c *kubernetes.Cluster) ([]found, error) {
	list, err := s.ask(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := checkFound(list); err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: fmt.Sprintf("find the pods of %s (%s) in %s", s.spec.Name, s.spec.which(), s.spec.Cluster), Err: err,
			Hint: s.hint(),
		}
	}
	return list, nil
}

// ask asks for them as they are now: while a pod is replaced there may be none, or two
// of one index.
func (s *Source) ask(ctx context.Context, c *kubernetes.Cluster) ([]found, error) {
	list, err := s.pick(ctx, c)
	for i := range list {
		list[i].container = s.containerOf(list[i])
	}
	return list, err
}

func (s *Source) pick(ctx context.Context, c *kubernetes.Cluster) ([]found, error) {
	switch at := s.spec.Namespace; {
	case s.spec.StatefulSet != "":
		set, err := c.StatefulSet(ctx, at, s.spec.StatefulSet)
		if err != nil || set == nil {
			return nil, cmp.Or(err, s.none("statefulset", s.spec.StatefulSet))
		}
		pods, err := s.podsOf(ctx, c, set.Spec.Selector)
		return s.ofSet(set, pods), err
	case s.spec.Workload != "":
		d, err := c.Deployment(ctx, at, s.spec.Workload)
		if err != nil || d == nil {
			return nil, cmp.Or(err, s.none("deployment", s.spec.Workload))
		}
		pods, err := s.podsOf(ctx, c, d.Spec.Selector)
		return s.ofWorkload(d, pods), err
	case s.spec.Selector != "":
		pods, err := c.Pods(ctx, at, s.spec.Selector)
		return s.ofSelector(pods), err
	default:
		return s.ofList(ctx, c)
	}
}

func (s *Source) podsOf(ctx context.Context, c *kubernetes.Cluster, selector *metav1.LabelSelector) ([]corev1.Pod, error) {
	which, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("find the pods of %s: %w", s.spec.which(), err)
	}
	return c.Pods(ctx, s.spec.Namespace, which.String())
}

func (s *Source) none(what, name string) error {
	return &lockstep.Error{
		Kind: lockstep.KindNotFound, Op: fmt.Sprintf("find the pods of %s in %s", s.spec.Name, s.spec.Cluster),
		Err:  fmt.Errorf("there is no %s %s in namespace %s", what, name, s.spec.Namespace),
		Hint: fmt.Sprintf("look at `kubectl --namespace %s get %ss`; are context and namespace right?", s.spec.Namespace, what),
	}
}

// hint is what to do where what was found makes no deployment.
func (s *Source) hint() string {
	if s.spec.Selector != "" {
		return fmt.Sprintf("look at `kubectl --namespace %s get pods --show-labels -l '%s'`; the annotations %s and %s tell pods apart", s.spec.Namespace, s.spec.Selector, noteGroup, noteIndex)
	}
	return fmt.Sprintf("look at `kubectl --namespace %s get pods`; is it scaled to 0?", s.spec.Namespace)
}

// replicasOf is how many pods are wanted; the API's default is one.
func replicasOf(n *int32) int {
	if n == nil {
		return 1
	}
	return min(max(int(*n), 0), kubernetes.MaxPods+1)
}

// ofSet are the slots of a StatefulSet. One that has no pod is an instance that is not
// there; a pod that is too many is on its way out.
func (s *Source) ofSet(set *appsv1.StatefulSet, pods []corev1.Pod) []found {
	start := 0
	if o := set.Spec.Ordinals; o != nil {
		start = int(o.Start)
	}
	var out []found
	for n := range replicasOf(set.Spec.Replicas) {
		ordinal := strconv.Itoa(start + n)
		f := found{group: cmp.Or(s.spec.Group, set.Name), id: ordinal, index: ordinal, name: set.Name + "-" + ordinal, stable: true}
		for i, p := range pods {
			if p.Name == f.name && belongs(p, "StatefulSet", set.Name) {
				f.pod = &pods[i]
			}
		}
		out = append(out, f)
	}
	return out
}

// belongs reports whether a pod is that of a controller.
func belongs(p corev1.Pod, kind, name string) bool {
	owner := metav1.GetControllerOfNoCopy(&p)
	return owner != nil && owner.Kind == kind && owner.Name == name
}

// ofWorkload are the slots of a Deployment, the oldest pod first.
func (s *Source) ofWorkload(d *appsv1.Deployment, pods []corev1.Pod) []found {
	var own []corev1.Pod
	for _, p := range pods {
		if kind, name := workloadOf(p); kind == "ReplicaSet" && name == d.Name && !leaves(p) {
			own = append(own, p)
		}
	}
	byAge(own)
	var out []found
	for n := range replicasOf(d.Spec.Replicas) {
		index := strconv.Itoa(n)
		f := found{group: cmp.Or(s.spec.Group, d.Name), id: index, index: index, name: d.Name + " " + index}
		if n < len(own) {
			f.pod, f.name = &own[n], own[n].Name
		}
		out = append(out, f)
	}
	return out
}

// leaves reports whether another pod takes, or has taken, the place of this one.
func leaves(p corev1.Pod) bool {
	ended := p.Status.Phase == corev1.PodFailed && metav1.GetControllerOfNoCopy(&p) != nil
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || ended
}

func byAge(pods []corev1.Pod) {
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

// workloadOf is the controller that a pod belongs to; for a ReplicaSet of a
// Deployment the name is that of the Deployment.
func workloadOf(p corev1.Pod) (kind, name string) {
	owner := metav1.GetControllerOfNoCopy(&p)
	if owner == nil {
		return "", ""
	}
	name = owner.Name
	if hash := p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; owner.Kind == "ReplicaSet" && hash != "" {
		name = strings.TrimSuffix(name, "-"+hash)
	}
	return owner.Kind, name
}

// ofSelector takes the pods that a selector selects.
func (s *Source) ofSelector(pods []corev1.Pod) []found {
	byAge(pods)
	var out []found
	next := map[string]int{}
	for i, p := range pods {
		kind, workload := workloadOf(p)
		if kind != "StatefulSet" && leaves(p) {
			continue
		}
		group := cmp.Or(s.spec.Group, note(p, noteGroup), workload, p.Name)
		index := cmp.Or(note(p, noteIndex), ordinalOf(p, kind, workload), strconv.Itoa(next[group]))
		next[group]++
		id := index
		if kind == "" {
			id = p.Name
		}
		out = append(out, found{group: group, id: id, index: index, name: p.Name, stable: kind == "" || kind == "StatefulSet", fixed: note(p, noteIndex) != "", pod: &pods[i]})
	}
	slices.SortStableFunc(out, func(a, b found) int {
		return cmp.Or(strings.Compare(a.group, b.group), byNumber(a.index, b.index), strings.Compare(a.name, b.name))
	})
	return out
}

// note is an annotation, or else a label.
func note(p corev1.Pod, key string) string { return cmp.Or(p.Annotations[key], p.Labels[key]) }

func ordinalOf(p corev1.Pod, kind, set string) string {
	ordinal, ok := strings.CutPrefix(p.Name, set+"-")
	if kind != "StatefulSet" || !ok {
		return ""
	}
	return ordinal
}

// byNumber compares numbers as such, and other texts as texts.
func byNumber(a, b string) int {
	m, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return strings.Compare(a, b)
	}
	return cmp.Compare(m, n)
}

// ofList asks for each pod that is listed; c is nil where nobody can be asked.
func (s *Source) ofList(ctx context.Context, c *kubernetes.Cluster) ([]found, error) {
	var out []found
	for _, in := range s.spec.Instances {
		f := found{group: in.Group, id: in.ID, index: in.Index, name: in.Pod, stable: true}
		if c != nil {
			pod, err := c.Pod(ctx, s.spec.Namespace, in.Pod)
			if err != nil {
				return nil, err
			}
			f.pod = pod
		}
		out = append(out, f)
	}
	return out, nil
}

// containerOf is the container of a pod that is meant, "" where nobody says which of
// several.
func (s *Source) containerOf(f found) string {
	name := s.spec.Container
	for _, in := range s.spec.Instances {
		if in.Group == f.group && in.ID == f.id {
			name = cmp.Or(in.Container, name)
		}
	}
	switch {
	case name != "" || f.pod == nil:
		return name
	case len(f.pod.Spec.Containers) == 1:
		return f.pod.Spec.Containers[0].Name
	case containerIn(f.pod, f.pod.Annotations[noteDefault]) != nil:
		return f.pod.Annotations[noteDefault]
	}
	return ""
}

// containerIn is a container of a pod, or nil.
func containerIn(p *corev1.Pod, name string) *corev1.Container {
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == name {
			return &p.Spec.Containers[i]
		}
	}
	return nil
}

func containersOf(p *corev1.Pod) string {
	var names []string
	for _, c := range p.Spec.Containers {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// scriptsOf are the scripts that a pod's annotations have: one command line each, of
// the job that the annotation lockstep.job names, else of that of the group's name.
func scriptsOf(f found) map[string]map[lockstep.ScriptKind]string {
	if f.pod == nil {
		return nil
	}
	scripts := map[lockstep.ScriptKind]string{}
	for _, kind := range lockstep.ScriptKinds() {
		if command := f.pod.Annotations["lockstep."+string(kind)]; command != "" && kind != lockstep.ScriptMetadata {
			scripts[kind] = "#!/bin/sh\n" + command + "\n"
		}
	}
	if len(scripts) == 0 {
		return nil
	}
	return map[string]map[lockstep.ScriptKind]string{cmp.Or(note(*f.pod, noteJob), f.group): scripts}
}

// checkFound refuses what makes no deployment: labels and annotations are anybody's.
func checkFound(list []found) error {
	if len(list) == 0 {
		return errors.New("there are none")
	}
	if len(list) > kubernetes.MaxPods {
		return fmt.Errorf("they are more than %d", kubernetes.MaxPods)
	}
	var errs []error
	seen := map[string]string{}
	for _, f := range list {
		names := [][2]string{{"instance group", f.group}, {"instance id", f.id}, {"index", f.index}}
		for job, scripts := range scriptsOf(f) {
			names = append(names, [2]string{"job", job})
			for kind, text := range scripts {
				if len(text) > maxScript {
					errs = append(errs, fmt.Errorf("pod %s: its annotation lockstep.%s is larger than %d KiB", f.name, kind, maxScript>>10))
				}
			}
		}
		for _, n := range names {
			if err := lockstep.CheckName(n[0], n[1]); err != nil {
				errs = append(errs, fmt.Errorf("pod %s: %w", f.name, err))
			}
		}
		for _, key := range []string{"instance " + f.group + "/" + f.id, "index " + f.group + "/" + f.index, "pod " + f.name + " container " + f.container} {
			if other, ok := seen[key]; ok {
				errs = append(errs, fmt.Errorf("%s is there twice, for %s and %s/%s", key, other, f.group, f.id))
			}
			seen[key] = f.group + "/" + f.id
		}
	}
	return errors.Join(errs...)
}
