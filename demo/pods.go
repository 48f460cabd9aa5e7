package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"lockstep"
)

// pods are instances that are pods of the cluster of the current context, in a namespace
// that is made for them. Nothing else of the cluster is touched.
type pods struct {
	image string
	dir   string // in pods, where an instance's folder lies

	// context is the one that was the current one when the demo began: all that is asked
	// is asked there, whatever becomes the current one meanwhile.
	context   string
	namespace string // "" until it may be there
	inside    []*podFiles
}

// possible says in clear words where there is no cluster to show anything with.
func (g *pods) possible(ctx context.Context) error {
	const other = "or see the same over SSH: lockstep demo"
	if _, err := exec.LookPath("kubectl"); err != nil {
		return &lockstep.Error{Op: "demo", Err: errors.New("there is no kubectl command here"), Hint: "install kubectl, " + other}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	name, err := output(ctx, "kubectl", "config", "current-context")
	if err != nil || name == "" {
		return &lockstep.Error{
			Op: "demo", Err: errors.Join(errors.New("there is no current context, which would say in which cluster"), err),
			Hint: "choose one: kubectl config get-contexts, kubectl config use-context NAME; " + other,
		}
	}
	g.context = name
	if _, err := g.kubectl(ctx, "version", "--request-timeout=20s"); err != nil {
		return &lockstep.Error{
			Op: "demo", Err: fmt.Errorf("the cluster of context %s: %w", name, err),
			Hint: "does `kubectl version` answer? else choose another context: kubectl config use-context NAME; " + other,
		}
	}
	return nil
}

// kubectl runs a kubectl command in the demo's namespace, as soon as there is one.
func (g *pods) kubectl(ctx context.Context, args ...string) (string, error) {
	return output(ctx, "kubectl", g.args(args...)...)
}

func (g *pods) args(args ...string) []string {
	all := []string{"--context", g.context}
	if g.namespace != "" {
		all = append(all, "--namespace", g.namespace)
	}
	return append(all, args...)
}

func (g *pods) each() string {
	return fmt.Sprintf("a pod\nof %s in namespace %s of context %s", g.image, g.namespace, g.context)
}
func (g *pods) flag() string        { return " --kubernetes" }
func (g *pods) poll() time.Duration { return 20 * time.Millisecond }

func (g *pods) look(*sample) (at, slow, closed string) {
	kubectl := "kubectl"
	for _, arg := range g.args() {
		kubectl += " " + shellWord(arg)
	}
	return kubectl + " get pods", kubectl + " exec db-0 -- touch " + g.dir + "/network/slow", kubectl + " exec web-0 -- ls " + g.dir + "/network"
}

// start makes the namespace and a pod for each instance, and waits until all run.
func (g *pods) start(ctx context.Context, s *sample) error {
	name := "lockstep-demo-" + strings.ToLower(rand.Text()[:10])
	if _, err := g.kubectl(ctx, "create", "namespace", name); err != nil {
		if ctx.Err() != nil || strings.Contains(err.Error(), "imeout") { // it may be there all the same
			g.namespace = name
		}
		return &lockstep.Error{Err: err, Hint: "the demo makes a namespace of its own, and removes it: choose a cluster in which you may do that"}
	}
	g.namespace = name
	for _, i := range s.instances {
		if err := g.apply(ctx, podOf(i.name(), g)); err != nil {
			return err
		}
	}
	if err := g.await(ctx, len(s.instances)); err != nil {
		return err
	}
	for _, i := range s.instances {
		inside, err := g.enter(i.name())
		if err != nil {
			return err
		}
		g.inside, i.files = append(g.inside, inside), inside
	}
	text := fmt.Sprintf(podConfig, g.context, g.namespace)
	return s.configure(text, func(i *instance) string { return "pod: " + i.name() })
}

func (g *pods) apply(ctx context.Context, manifest string) error {
	c := exec.CommandContext(ctx, "kubectl", g.args("apply", "-f", "-")...)
	c.Stdin = strings.NewReader(manifest)
	if out, err := c.CombinedOutput(); err != nil {
		return &lockstep.Error{
			Err:  fmt.Errorf("make a pod in namespace %s: %w: %s", g.namespace, err, strings.TrimSpace(string(out))),
			Hint: "choose a cluster in which you may: kubectl config use-context NAME",
		}
	}
	return nil
}

// podWait is how long a cluster may take to start the pods: it may have to get the image.
const podWait = 5 * time.Minute

// await waits until all pods run, and says which cannot.
func (g *pods) await(ctx context.Context, number int) error {
	ctx, cancel := context.WithTimeout(ctx, podWait)
	defer cancel()
	var said string
	for {
		now, err := g.kubectl(ctx, "get", "pods", "-o",
			`jsonpath={range .items[*]}{.status.phase} {.status.containerStatuses[*].state.waiting.reason}{"\n"}{end}`)
		if err == nil {
			said = now
		}
		switch {
		case ctx.Err() != nil:
			return &lockstep.Error{Err: fmt.Errorf("the pods do not run: %w: %s", ctx.Err(), said), Hint: "has the cluster room for five small pods of " + g.image + "?"}
		case err != nil:
			return err
		case strings.Count(said, "Running") == number:
			return nil
		}
		for _, why := range []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"} {
			if strings.Contains(said, why) {
				return &lockstep.Error{
					Err:  fmt.Errorf("start a pod of %s: %s", g.image, why),
					Hint: "name an image that the cluster has or can get, with " + imageNeeds,
				}
			}
		}
		rest(ctx, 200*time.Millisecond)
	}
}

// err is what went wrong in a pod.
func (g *pods) err() error {
	var errs []error
	for _, p := range g.inside {
		errs = append(errs, p.shell.err())
	}
	return errors.Join(errs...)
}

// removeWait is how long a cluster may take to remove the namespace.
const removeWait = 3 * time.Minute

// stop removes the namespace, with all that is in it.
func (g *pods) stop(*sample) error {
	for _, p := range g.inside {
		p.shell.close()
	}
	if g.namespace == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeWait)
	defer cancel()
	_, err := output(ctx, "kubectl", "--context", g.context, "delete", "namespace", g.namespace, "--ignore-not-found")
	if err != nil {
		return &lockstep.Error{
			Op: "remove the demo's namespace", Err: err,
			Hint: fmt.Sprintf("remove it: kubectl --context %s delete namespace %s", shellWord(g.context), g.namespace),
		}
	}
	g.namespace = ""
	return nil
}

// podOf is a pod of the demo. What it keeps goes with it; the image's user is not asked,
// and nobody is root.
func podOf(name string, g *pods) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: %s
  labels: {app.kubernetes.io/name: lockstep-demo}
spec:
  activeDeadlineSeconds: %s
  terminationGracePeriodSeconds: 0
  restartPolicy: Never
  automountServiceAccountToken: false
  shareProcessNamespace: true
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: instance
    image: %q
    command: [sleep, %q]
    workingDir: %s/instances/%s
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: data, mountPath: %s/instances/%s}
    - {name: network, mountPath: %s/network}
    - {name: lasting, mountPath: /var/lib/lockstep}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: network, emptyDir: {}}
  - {name: lasting, emptyDir: {}}
`, name, containerLife, g.image, containerLife, g.dir, name, g.dir, name, g.dir)
}

const podConfig = `# The sample deployment of "lockstep demo --kubernetes". Pods of a real one belong to
# StatefulSets and Deployments, and have their scripts in the image, on a volume or as
# annotations.
state_dir: state
repository:
  dir: backups
deployments:
  shop:
    kubernetes: {context: %q, namespace: %q}
    # Relative to the folder that each container begins in.
    script_location: jobs/{job}/bin
    artifact_location: store
    # An instance that has not heard of the orchestrator for so long unlocks
    # itself.
    lock_lease: 1m
    instance_groups:
`
