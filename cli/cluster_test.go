package cli

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lockstep/internal/kubetest"
)

// clusters are those of scripts, by their folder.
var clusters sync.Map

var labelsOfPod = map[string]string{"app": "db"}

// podOf is the pod db-0, with a volume at a folder.
func podOf(ts *testscript.TestScript, folder string) corev1.Pod {
	yes := true
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "db-0", UID: "u", Labels: labelsOfPod,
		OwnerReferences: []metav1.OwnerReference{{Kind: "StatefulSet", Name: "db", Controller: &yes}},
	}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: ts.MkAbs(folder)}}}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-db-0"}}}}
	pod.Status.Phase = corev1.PodRunning
	return pod
}

// cluster is `cluster start FOLDER`, a cluster whose one pod, db-0 of the StatefulSet db,
// has a volume at that folder and whose kubeconfig is the file kubeconfig; or `cluster
// forbid "VERB RESOURCE"`, `cluster remove POD` and `cluster replace FOLDER`, after which
// another pod of that name is there and all commands are dead; cut, vanish and lie end all sessions,
// as in package kubetest.
func cluster(ts *testscript.TestScript, _ bool, args []string) {
	work := ts.Getenv("WORK")
	if args[0] == "start" {
		s := kubetest.New(work)
		ts.Defer(s.Close)
		clusters.Store(work, s)
		one := int32(1)
		s.Put(podOf(ts, args[1]), appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"},
			Spec:       appsv1.StatefulSetSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labelsOfPod}},
		})
		path, err := s.Kubeconfig()
		ts.Check(err)
		if path != filepath.Join(work, "kubeconfig") {
			ts.Check(os.Rename(path, filepath.Join(work, "kubeconfig")))
		}
		return
	}
	found, ok := clusters.Load(work)
	if !ok {
		ts.Fatalf("there is no cluster yet")
	}
	switch s := found.(*kubetest.Server); args[0] {
	case "forbid":
		s.Forbid(args[1])
	case "remove":
		s.Remove("shop", args[1])
	case "replace":
		s.Kill()
		s.Remove("shop", "db-0")
		pod := podOf(ts, args[1])
		pod.UID = "another"
		s.Put(pod)
	case "cut":
		s.Cut()
	case "vanish":
		s.Vanish()
	case "lie":
		s.Lie()
	default:
		ts.Fatalf("cluster start, forbid, remove, replace, cut, vanish or lie")
	}
}
