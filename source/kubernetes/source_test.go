package kubernetes

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lockstep"
	"lockstep/internal/kubetest"
	"lockstep/source"
	"lockstep/target"
	"lockstep/target/kubernetes"
)

// specification is one of a StatefulSet db in the cluster of a server, changed.
func specification(t *testing.T, s *kubetest.Server, change func(*Specification)) Specification {
	t.Helper()
	out := Specification{Name: "shop", File: "/x.yaml", Namespace: "shop", Cluster: kubernetes.Config{Context: "here"}}
	if s != nil {
		kubeconfig, err := s.Kubeconfig()
		if err != nil {
			t.Fatal(err)
		}
		out.Cluster.Kubeconfig = []string{kubeconfig}
	}
	if change == nil {
		change = func(s *Specification) { s.StatefulSet = "db" }
	}
	change(&out)
	return out
}

func made(t *testing.T, s Specification) *Source {
	t.Helper()
	out, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pod is a running pod with one container and labels app=shop. Pods that are made
// later are younger.
func pod(name string, change ...func(*corev1.Pod)) corev1.Pod {
	age := born.Add(1)
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID("uid-of-" + name), Labels: map[string]string{"app": "shop"}, Annotations: map[string]string{},
		CreationTimestamp: metav1.NewTime(time.Unix(age, 0)),
	}}
	p.Spec.Containers = []corev1.Container{{Name: "main"}}
	p.Status.Phase = corev1.PodRunning
	for _, c := range change {
		c(&p)
	}
	return p
}

var born atomic.Int64

// of makes a pod one of a controller.
func of(kind, name string) func(*corev1.Pod) {
	yes := true
	return func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &yes}}
		if workload, hash, ok := strings.Cut(name, "-"); ok && kind == "ReplicaSet" && workload != "" {
			p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = hash
		}
	}
}

func web(p *corev1.Pod)                         { of("ReplicaSet", "web-7c9f")(p) }
func phase(f corev1.PodPhase) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Status.Phase = f } }
func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}
func deleted(p *corev1.Pod) { now := metav1.Now(); p.DeletionTimestamp = &now }

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}

func set(replicas, start int32) appsv1.StatefulSet {
	return appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
		Spec: appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector, Ordinals: &appsv1.StatefulSetOrdinals{Start: start}}}
}

func workload(replicas int32) appsv1.Deployment {
	return appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector}}
}

func names(list []found) []string {
	var out []string
	for _, f := range list {
		name := f.group + "/" + f.id + " " + f.index + " " + f.name + " " + f.container
		if f.pod == nil {
			name += "(none)"
		}
		out = append(out, name)
	}
	return out
}

func TestFind(t *testing.T) {
	t.Parallel()
	db := of("StatefulSet", "db")
	for name, c := range map[string]struct {
		change  func(*Specification)
		objects []any
		want    []string
	}{
		"a StatefulSet, one pod of which is not there, and one too many": {nil,
			[]any{set(2, 3), pod("db-3", db), pod("db-5", db), pod("db-4", of("StatefulSet", "other"))},
			[]string{"db/3 3 db-3 main", "db/4 4 db-4 (none)"}},
		"a StatefulSet under another name": {func(s *Specification) { s.StatefulSet, s.Group = "db", "data" },
			[]any{set(1, 0), pod("db-0", db, phase(corev1.PodFailed))}, []string{"data/0 0 db-0 main"}},
		"a Deployment, the oldest first": {func(s *Specification) { s.Workload = "web" },
			[]any{workload(3), pod("web-7c9f-z", web), pod("web-7c9f-a", web), pod("web-7c9f-x", web, phase(corev1.PodFailed)), pod("web-7c9f-y", web, deleted),
				pod("other-1", of("ReplicaSet", "other-7c9f")), pod("web-b", of("StatefulSet", "web"))},
			[]string{"web/0 0 web-7c9f-z main", "web/1 1 web-7c9f-a main", "web/2 2 web 2 (none)"}},
		"a selector": {func(s *Specification) { s.Selector = "app=shop" },
			[]any{pod("db-10", db), pod("db-2", db), pod("web-7c9f-b", web), pod("web-7c9f-a", web), pod("alone"), pod("job", of("Job", "j"), phase(corev1.PodSucceeded)),
				pod("named", annotated(noteGroup, "g"), annotated(noteIndex, "7")), pod("evicted", web, phase(corev1.PodFailed)),
				pod("elsewhere", func(p *corev1.Pod) { p.Namespace = "other" }), pod("unlike", func(p *corev1.Pod) { p.Labels = nil })},
			[]string{"alone/alone 0 alone main", "db/2 2 db-2 main", "db/10 10 db-10 main", "g/named 7 named main", "web/0 0 web-7c9f-b main", "web/1 1 web-7c9f-a main"}},
		"a list": {func(s *Specification) {
			s.Container = "main"
			s.Instances = []Instance{{Group: "a", ID: "0", Index: "0", Pod: "p"}, {Group: "b", ID: "0", Index: "0", Pod: "p", Container: "side"}, {Group: "c", ID: "0", Index: "0", Pod: "gone"}}
		}, []any{pod("p")}, []string{"a/0 0 p main", "b/0 0 p side", "c/0 0 gone main(none)"}},
		"the container that is the default one": {nil, []any{set(1, 0), pod("db-0", db, annotated(noteDefault, "pg"), func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{{Name: "side"}, {Name: "pg"}}
		})}, []string{"db/0 0 db-0 pg"}},
		"nobody knows which container": {nil, []any{set(1, 0), pod("db-0", db, annotated(noteDefault, "other"), func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{{Name: "side"}, {Name: "pg"}}
		})}, []string{"db/0 0 db-0 "}},
	} {
		s := kubetest.Start(t)
		s.Put(c.objects...)
		source := made(t, specification(t, s, c.change))
		cluster, err := kubernetes.Open(source.spec.Cluster)
		if err != nil {
			t.Fatal(err)
		}
		got, err := source.find(t.Context(), cluster)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, names(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		_ = cluster.Close()
	}
}

// TestWhatIsFoundMakesNoDeployment: what to do about it is said.
func TestWhatIsFoundMakesNoDeployment(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(set(0, 0), pod("a", annotated(noteGroup, "-x")), pod("b", annotated(noteGroup, "g")), pod("c", annotated("lockstep.backup", strings.Repeat("x", maxScript))))
	forbids := kubetest.Start(t)
	forbids.Forbid("get statefulsets")
	for _, c := range []struct {
		server     *kubetest.Server
		change     func(*Specification)
		says, hint string
	}{
		{s, nil, "there are none", "scaled to 0"},
		{s, func(s *Specification) { s.Selector = "app=nobody" }, "there are none", "get pods --show-labels -l 'app=nobody'"},
		{s, func(s *Specification) { s.Selector = "app=shop" }, `pod a: instance group "-x"`, "lockstep.group"},
		{s, func(s *Specification) { s.Selector = "app=shop" }, "annotation lockstep.backup is larger than 64 KiB", ""},
		{s, func(s *Specification) { s.Selector, s.Group = "app=shop", "all" }, "", ""},
		{s, func(s *Specification) { s.Workload = "nobody" }, "there is no deployment nobody in namespace shop", "get deployments"},
		{forbids, nil, "forbidden", "it may not get statefulsets: lockstep kubernetes rbac"},
		{s, func(s *Specification) { s.StatefulSet, s.Cluster.Context = "db", "prd" }, `no context "prd"`, "here, other"},
	} {
		source := made(t, specification(t, c.server, c.change))
		resolved, err := source.Resolve(t.Context(), nil)
		if c.says == "" {
			if err == nil || !strings.Contains(err.Error(), "lockstep.backup") { // the one of pod c
				t.Errorf("got %v", err)
			}
			continue
		}
		if err == nil || resolved != nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(lockstep.HintOf(err), c.hint) {
			t.Errorf("got %v, hint %q; want %q, hint %q", err, lockstep.HintOf(err), c.says, c.hint)
		}
	}
	if err := checkFound([]found{{group: "g", id: "x", index: "0", name: "a"}, {group: "g", id: "x", index: "1", name: "b"}}); err == nil || !strings.Contains(err.Error(), "instance g/x is there twice") {
		t.Errorf("got %v", err)
	}
}

// TestReplaced: a pod of a Deployment that is gone is the same slot in the pod that
// took its place, and no other slot's; one of a StatefulSet has its name.
func TestReplaced(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(workload(2), pod("web-7c9f-a", web), pod("web-7c9f-b", web))
	at := made(t, specification(t, s, func(s *Specification) { s.Workload = "web" }))
	resolved, err := at.Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resolved.Release(t.Context()) }()
	before, err := at.List(t.Context())
	if err != nil || source.Changes(resolved.Listed, before) != nil {
		t.Errorf("%v changed, %v", source.Changes(resolved.Listed, before), err)
	}
	s.Remove("shop", "web-7c9f-a")
	if exit, err := resolved.Instances[0].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
		t.Errorf("nothing has taken its place, and it gives %v", exit)
	}
	s.Put(pod("web-7c9f-c", web))
	for range 2 {
		for i, in := range resolved.Instances {
			if exit, err := in.Target.Run(t.Context(), "exit 4", target.Streams{}); err != nil || exit.Code != 4 {
				t.Errorf("instance %d: %v, %v", i, exit, err)
			}
		}
	}
	after, err := at.List(t.Context())
	if err != nil || len(source.Changes(resolved.Listed, after)) == 0 {
		t.Errorf("another pod is not noticed: %v", err)
	}
	// The other slot's pod is gone next; the one that took the first place is not its.
	s.Remove("shop", "web-7c9f-b")
	if exit, err := resolved.Instances[1].Target.Run(t.Context(), "true", target.Streams{}); err == nil {
		t.Errorf("two slots are in one pod: %v", exit)
	}
}

// TestUnreachable: instances that are listed are there, without anybody to ask.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	at := made(t, specification(t, s, func(s *Specification) {
		s.Instances = []Instance{{Group: "db", ID: "0", Index: "0", Pod: "db-0"}}
	}))
	s.Close()
	resolved, err := at.Resolve(t.Context(), nil)
	if err != nil || len(resolved.Instances) != 1 || resolved.Instances[0].Unfit == nil || !strings.Contains(lockstep.HintOf(resolved.Instances[0].Unfit), "up and reachable") {
		t.Fatalf("got %+v, %v", resolved, err)
	}
	if err := resolved.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := made(t, specification(t, s, nil)).Resolve(t.Context(), nil); err == nil {
		t.Error("the pods of a StatefulSet are known, and nobody was asked")
	}
}

func TestLasting(t *testing.T) {
	t.Parallel()
	at := lockstep.ContainerLocations()
	type m = corev1.VolumeMount
	claim := func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}
	}
	empty := corev1.Volume{Name: "e", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
	host := corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/srv"}}}
	with := func(volumes []corev1.Volume, mounts ...m) found {
		p := pod("p", func(p *corev1.Pod) {
			p.Spec.Volumes, p.Spec.Containers[0].VolumeMounts = volumes, mounts
		})
		return found{group: "g", id: "p", index: "0", name: "p", container: "main", pod: &p}
	}
	own := m{Name: "v", MountPath: "/var/lib/lockstep"}
	v := []corev1.Volume{claim("v")}
	for name, c := range map[string]struct {
		list []found
		at   lockstep.Locations
		says string // of the last one
	}{
		"a claim":                 {[]found{with(v, own)}, at, ""},
		"a claim above":           {[]found{with(v, m{Name: "v", MountPath: "/var/"})}, at, ""},
		"a folder of a claim":     {[]found{with(v, m{Name: "v", MountPath: "/data"}, m{Name: "v", MountPath: "/var/lib/lockstep", SubPath: "lockstep"})}, at, ""},
		"none":                    {[]found{with(nil)}, at, "in the container itself"},
		"one with a name like it": {[]found{with(v, m{Name: "v", MountPath: "/var/lib/lock"})}, at, "in the container itself"},
		"only for the claim":      {[]found{with(v, m{Name: "v", MountPath: "/var/lib/lockstep/claim"})}, at, "/var/lib/lockstep/run would be lost"},
		"nothing stays":           {[]found{with([]corev1.Volume{empty}, m{Name: "e", MountPath: "/var/lib/lockstep"})}, at, ""},
		"something stays":         {[]found{with([]corev1.Volume{empty, claim("data")}, m{Name: "e", MountPath: "/var/lib/lockstep"}, m{Name: "data", MountPath: "/data"})}, at, "volume data does not"},
		"what stays is only read": {[]found{with([]corev1.Volume{empty, claim("data")}, m{Name: "e", MountPath: "/var/lib/lockstep"}, m{Name: "data", MountPath: "/data", ReadOnly: true})}, at, ""},
		"a folder of the node":    {[]found{with([]corev1.Volume{host}, m{Name: "h", MountPath: "/var/lib/lockstep"})}, at, "neither that of"},
		"read-only":               {[]found{with(v, m{Name: "v", MountPath: "/var/lib/lockstep", ReadOnly: true})}, at, "read-only"},
		"another in another pod":  {[]found{with(v, m{Name: "v", MountPath: "/var/lib/lockstep", SubPathExpr: "$(X)"})}, at, "subPathExpr"},
		"one of each":             {[]found{with(v, own), with([]corev1.Volume{claim("w")}, m{Name: "w", MountPath: "/var/lib/lockstep"})}, at, ""},
		"one of both":             {[]found{with(v, own), with(v, own)}, at, "as that of pod p"},
		"of one, a folder each":   {[]found{with(v, m{Name: "v", MountPath: "/var/lib/lockstep", SubPath: "a"}), with(v, m{Name: "v", MountPath: "/var/lib/lockstep", SubPath: "b"})}, at, ""},
		"relative":                {[]found{with(v, own)}, lockstep.Locations{Claim: "claim", Launcher: "/run"}, "not absolute"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs, _ := unfit(c.list, c.at, false)
			err := errs[len(errs)-1]
			if c.says == "" && err == nil {
				return
			}
			if err == nil || c.says == "" || !strings.Contains(err.Error(), c.says) || lockstep.HintOf(err) == "" {
				t.Errorf("got %v, hint %q; want %q", err, lockstep.HintOf(err), c.says)
			}
		})
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	state := func(s corev1.ContainerState) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "side", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}, {Name: "main", State: s}}
		}
	}
	for _, c := range []struct {
		container  string
		change     func(*corev1.Pod)
		says, hint string
	}{
		{"main", state(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}), "", ""},
		{"main", state(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}), "waits: CrashLoopBackOff", "describe pod p"},
		{"main", state(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}}), "has ended: OOMKilled", "describe pod p"},
		{"main", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" }, "it is Failed: Evicted", "describe pod p"},
		{"", func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "side"}) }, "several containers", "one of: main, side"},
		{"x", func(*corev1.Pod) {}, "no container x", "are: main"},
	} {
		p := pod("p", c.change)
		err := runs(found{name: "p", container: c.container, pod: &p})
		if c.says == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(lockstep.HintOf(err), c.hint) {
			t.Errorf("got %v, hint %q; want %q, hint %q", err, lockstep.HintOf(err), c.says, c.hint)
		}
	}
}

// TestScriptsOfAnnotations: an annotation is a script of one line.
func TestScriptsOfAnnotations(t *testing.T) {
	t.Parallel()
	p := pod("a", annotated("lockstep.pre-backup-lock", "pg lock 'x'"), annotated("lockstep.metadata", "echo"), annotated("lockstep.nothing", "x"))
	f := found{group: "db", id: "a", index: "0", name: "a", pod: &p}
	lock := map[lockstep.ScriptKind]string{lockstep.ScriptPreBackupLock: "#!/bin/sh\npg lock 'x'\n"}
	if diff := cmp.Diff(map[string]map[lockstep.ScriptKind]string{"db": lock}, scriptsOf(f)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p.Annotations[noteJob] = "../x"
	if err := checkFound([]found{f}); err == nil || !strings.Contains(err.Error(), `job "../x"`) {
		t.Errorf("a job with a bad name: %v", err)
	}
	if got := scriptsOf(found{}); got != nil {
		t.Errorf("without a pod: %v", got)
	}
}

// TestRoot: only who is written down to be root is taken for one.
func TestRoot(t *testing.T) {
	t.Parallel()
	zero, other := int64(0), int64(999)
	for _, c := range []struct {
		ofPod, ofContainer *int64
		want               bool
	}{{nil, nil, false}, {&zero, nil, true}, {&other, &zero, true}, {&zero, &other, false}} {
		p := pod("p")
		p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: c.ofPod}
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsUser: c.ofContainer}
		if got := isRoot(found{container: "main", pod: &p}); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

func TestReach(t *testing.T) {
	t.Parallel()
	s := specification(t, nil, func(s *Specification) {
		s.Workload, s.Group, s.Container, s.Limits.MaxLock = "web", "front", "nginx", time.Minute
		s.Cluster.Kubeconfig = []string{"/k"}
	})
	at := made(t, s)
	if !IsReach(at.Reach()) || IsReach(`{"name":"x"}`) || IsReach("no JSON") {
		t.Error("a reach is not told from others")
	}
	again, err := FromReach(at.Reach())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(at.spec, again.spec); diff != "" {
		t.Errorf("(-made +again):\n%s", diff)
	}
	if again.Info().Key != "spec:/x.yaml#shop" {
		t.Errorf("the key is %s", again.Info().Key)
	}
	place, ok := Place(at.Reach())
	if want := "deployment web container nginx in namespace shop as front of context here in /k"; place != want || !ok {
		t.Errorf("got %q", place)
	}
	if got := at.Places(); !slices.Equal(got, []string{"kubernetes:/k#here deployment web container nginx in namespace shop"}) {
		t.Errorf("got %q", got)
	}
}

func TestBadSpecifications(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*Specification){
		"neither file nor identity": func(s *Specification) { s.StatefulSet, s.File = "db", "" },
		"must be those of a":        func(s *Specification) { s.StatefulSet, s.Selector = "db", "x" },
		"selector":                  func(s *Specification) { s.Selector = "a b c" },
		"has no namespace":          func(s *Specification) { s.StatefulSet, s.Namespace = "db", "" },
		"has no pod":                func(s *Specification) { s.Instances = []Instance{{Group: "g", ID: "0"}} },
	} {
		if _, err := New(specification(t, nil, change)); lockstep.KindOf(err) != lockstep.KindInvalid || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v; want %q", err, says)
		}
	}
}

// TestRBAC: the role that is printed is what a whole deployment asks for, and no more.
func TestRBAC(t *testing.T) {
	t.Parallel()
	db := of("StatefulSet", "db")
	for name, change := range map[string]func(*Specification){
		"StatefulSet": nil,
		"Deployment":  func(s *Specification) { s.Workload = "web" },
		"selector":    func(s *Specification) { s.Selector = "app=shop" },
		"list":        func(s *Specification) { s.Instances = []Instance{{Group: "db", ID: "0", Index: "0", Pod: "db-0"}} },
		"sidecars":    withSidecars,
		"sidecars of a list": func(s *Specification) {
			s.SidecarImage, s.Instances = "debian:12", []Instance{{Group: "db", ID: "0", Index: "0", Pod: "db-0"}}
		},
	} {
		for _, old := range []bool{false, true} {
			s := kubetest.Start(t)
			if old {
				s.Old()
			}
			s.Put(set(1, 0), workload(1), pod("db-0", db), pod("web-7c9f-a", web))
			spec := specification(t, s, change)
			at := made(t, spec)
			resolved, err := at.Resolve(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range resolved.Instances {
				if _, err := in.Target.Run(t.Context(), "true", target.Streams{}); err != nil {
					t.Error(err)
				}
			}
			if _, err := at.List(t.Context()); err != nil {
				t.Error(err)
			}
			_ = resolved.Release(t.Context())
			c, err := kubernetes.Open(spec.Cluster)
			if err != nil {
				t.Fatal(err)
			}
			event := kubernetes.PodEvent{Namespace: spec.Namespace, Pod: "db-0", ByName: len(spec.Instances) > 0, Action: "Lock", Reason: "Locked", By: "x", Time: time.Now()}
			if err := errors.Join(c.Tell(t.Context(), event), c.Close()); err != nil {
				t.Error(err)
			}
			text, err := RBAC("lockstep", "", spec)
			if err != nil {
				t.Fatal(err)
			}
			given := rights(t, text)
			for _, asked := range s.Requests() {
				if !slices.Contains(given, asked) {
					t.Errorf("%s: it may not %s, by\n%s", name, asked, text)
				}
			}
			for _, right := range given {
				if !slices.Contains(s.Requests(), right) && !strings.Contains(right, "pods/exec") { // that of the other kind of session
					t.Errorf("%s: nobody asks to %s", name, right)
				}
			}
		}
	}
}

// rights are the verbs and resources of all roles in YAML.
func rights(t *testing.T, text string) []string {
	t.Helper()
	var out []string
	for decoder := yaml.NewDecoder(bytes.NewReader([]byte(text))); ; {
		var o object
		if decoder.Decode(&o) != nil {
			return out
		}
		for _, r := range o.Rules {
			for _, verb := range r.Verbs {
				out = append(out, verb+" "+r.Resources[0])
			}
		}
	}
}
