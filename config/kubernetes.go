package config

import (
	"path/filepath"
	"regexp"
	"strings"
)

// Kubernetes says that instances are pods of a cluster.
type Kubernetes struct {
	// Kubeconfig are absolute paths, of which the first that says something holds;
	// none where InCluster is set. Context is one of their contexts; it is "" only
	// where the files cannot be read now, or name none.
	Kubeconfig []string
	Context    string
	// InCluster: the service account of the pod that the orchestrator runs in.
	InCluster bool
	Namespace string
	// At most one of these is set; without, pods are listed.
	StatefulSet, Deployment, Selector string
	// Container is the name of a pod's container, or "".
	Container string
	// SidecarImage is the image of the sidecars that containers without a shell get, or "".
	SidecarImage string
}

// Finds reports whether the cluster is asked which pods there are.
func (k *Kubernetes) Finds() bool {
	return k.StatefulSet != "" || k.Deployment != "" || k.Selector != ""
}

type fileKubernetes struct {
	Kubeconfig  paths  `key:"kubeconfig" example:"./kubeconfig" doc:"file, or a list of them, that says how the cluster is reached and logged in to. The default is that of kubectl: $KUBECONFIG, else ~/.kube/config; in a pod without either, its service account"`
	Context     text   `key:"context" example:"prod" doc:"which of its contexts. The default is the current one"`
	InCluster   toggle `key:"in_cluster" example:"true" doc:"the cluster, and the service account, of the pod that Lockstep runs in"`
	Namespace   text   `key:"namespace" example:"shop" doc:"namespace of the pods. The default is that of the context, else default"`
	StatefulSet text   `key:"stateful_set" example:"db" doc:"the pods of this StatefulSet, which is the group; an ordinal is id and index"`
	Deployment  text   `key:"deployment" example:"web" doc:"the pods of this Deployment of Kubernetes, which is the group; the oldest has index 0"`
	Selector    text   `key:"selector" example:"\"app=shop\"" doc:"the pods with these labels, as kubectl get -l takes them. Their annotations lockstep.group and lockstep.index say where they belong, else what they are pods of"`
	Container   text   `key:"container" example:"postgres" doc:"container of the pods. The default is the only one, or that of the annotation kubectl.kubernetes.io/default-container"`
	Sidecar     text   `key:"sidecar_image" example:"\"debian:12\"" doc:"for containers whose image has no shell: the image of an ephemeral container that each run makes beside every one of them, and in which scripts run"`
}

// inPod is set in every pod of a cluster.
const inPod = "KUBERNETES_SERVICE_HOST"

// dnsName is what names of Kubernetes are.
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

func (f fileKubernetes) build(d *decoder, at position) *Kubernetes {
	out := &Kubernetes{
		Context: f.Context.value, InCluster: f.InCluster.value, Namespace: f.Namespace.value,
		StatefulSet: f.StatefulSet.value, Deployment: f.Deployment.value, Selector: f.Selector.value, Container: f.Container.value,
		SidecarImage: f.Sidecar.value,
	}
	if f.Sidecar.set && !isImage(f.Sidecar.value) {
		d.problem(f.Sidecar.at, "%q is not the name of an image; write for example: sidecar_image: debian:12", f.Sidecar.value)
	}
	f.cluster(d, out, at)
	for what, name := range map[string]text{
		"namespace": f.Namespace, "stateful_set": f.StatefulSet, "deployment": f.Deployment, "container": f.Container,
	} {
		if name.set && !dnsName.MatchString(name.value) {
			d.problem(name.at, "%s %q is not a name in Kubernetes; write for example: %s: shop", what, name.value, what)
		}
	}
	given := []text{}
	for _, one := range []text{f.StatefulSet, f.Deployment, f.Selector} {
		if one.set {
			given = append(given, one)
		}
	}
	if len(given) > 1 {
		d.problem(given[1].at, "more than one of stateful_set, deployment and selector is given; keep one, and make a group of each other")
	}
	if f.Selector.set && strings.ContainsAny(f.Selector.value, "\n\r") {
		d.problem(f.Selector.at, "selector has a line break in it")
	}
	return out
}

// cluster fills in what kubectl would take where the file says nothing.
func (f fileKubernetes) cluster(d *decoder, out *Kubernetes, at position) {
	switch env := d.env("KUBECONFIG"); {
	case f.InCluster.value && (f.Kubeconfig.set || f.Context.set):
		d.problem(f.InCluster.at, "in_cluster is in place of kubeconfig and context; keep one")
		return
	case f.InCluster.value:
	case f.Kubeconfig.set:
		out.Kubeconfig = f.Kubeconfig.value
	case env != "":
		for _, file := range filepath.SplitList(env) {
			if file != "" {
				out.Kubeconfig = append(out.Kubeconfig, d.absolute(file))
			}
		}
	case !f.InCluster.set && !f.Context.set && d.env(inPod) != "" && !isFile(homeKubeconfig(d)):
		out.InCluster = true
	case d.env("HOME") == "":
		d.problem(at, "neither KUBECONFIG nor HOME is set; write for example: kubeconfig: ./kubeconfig")
	default:
		out.Kubeconfig = []string{homeKubeconfig(d)}
	}
	if !out.InCluster {
		d.kubeContext(out, f.Context, at)
	}
	if out.Namespace == "" {
		out.Namespace = "default"
	}
}

func homeKubeconfig(d *decoder) string { return filepath.Join(d.env("HOME"), ".kube", "config") }

func (k *Kubernetes) show() *shown {
	m := mapping()
	if k.InCluster {
		m.add("in_cluster", true)
	}
	return m.
		addSet("kubeconfig", k.Kubeconfig).
		addSet("context", k.Context).
		add("namespace", k.Namespace).
		addSet("stateful_set", k.StatefulSet).
		addSet("deployment", k.Deployment).
		addSet("selector", k.Selector).
		addSet("container", k.Container).
		addSet("sidecar_image", k.SidecarImage)
}
