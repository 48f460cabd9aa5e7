package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// ours is the chart of this checkout as the release lockstep in the namespace ops.
var ours = release{"../../../packaging/chart", "lockstep", "ops"}

// set is what the test of a switch says of values, as YAML.
type set string

func (s set) values(t *testing.T) map[string]any {
	t.Helper()
	values, err := loader.LoadValues(strings.NewReader(string(s)))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// objects are those of a release, each decoded strictly into the type that the API has
// for it, by KIND/NAME in NAMESPACE.
func objects(t *testing.T, s set) map[string]any {
	t.Helper()
	texts, err := ours.render(s.values(t))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	all := map[string]any{}
	for name, text := range texts {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, one := range strings.Split(text, "\n---\n") {
			var head metav1.PartialObjectMetadata
			if err := yaml.Unmarshal([]byte(one), &head); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, one)
			}
			if head.Kind == "" { // comments alone
				continue
			}
			into := typed(head.APIVersion, head.Kind)
			if into == nil {
				t.Fatalf("%s: nobody knows %s %s", name, head.APIVersion, head.Kind)
			}
			if err := yaml.UnmarshalStrict([]byte(one), into); err != nil {
				t.Errorf("%s: %v\n%s", name, err, one)
			}
			key := fmt.Sprintf("%s/%s in %s", head.Kind, head.Name, head.Namespace)
			if all[key] != nil || head.Namespace == "" || head.Labels["app.kubernetes.io/instance"] != "lockstep" {
				t.Errorf("%s: it is there twice, or nobody knows where, or whose it is", key)
			}
			all[key] = into
		}
	}
	return all
}

func typed(version, kind string) any {
	return map[string]any{
		"v1 ConfigMap": &corev1.ConfigMap{}, "v1 Secret": &corev1.Secret{}, "v1 Service": &corev1.Service{},
		"v1 ServiceAccount": &corev1.ServiceAccount{}, "v1 PersistentVolumeClaim": &corev1.PersistentVolumeClaim{},
		"apps/v1 Deployment":                       &appsv1.Deployment{},
		"apps/v1 StatefulSet":                      &appsv1.StatefulSet{},
		"rbac.authorization.k8s.io/v1 Role":        &rbacv1.Role{},
		"rbac.authorization.k8s.io/v1 RoleBinding": &rbacv1.RoleBinding{},
		"networking.k8s.io/v1 NetworkPolicy":       &networkingv1.NetworkPolicy{},
		"policy/v1 PodDisruptionBudget":            &policyv1.PodDisruptionBudget{},
		"monitoring.coreos.com/v1 ServiceMonitor":  &monitoring.ServiceMonitor{},
	}[version+" "+kind]
}

// one is the object of a key, which must be there.
func one[T any](t *testing.T, all map[string]any, key string) T {
	t.Helper()
	o, ok := all[key].(T)
	if !ok {
		var keys []string
		for k := range all {
			keys = append(keys, k)
		}
		t.Fatalf("there is no %s: there are %q", key, keys)
	}
	return o
}

func server(t *testing.T, s set) (*appsv1.Deployment, corev1.PodSpec, corev1.Container) {
	t.Helper()
	d := one[*appsv1.Deployment](t, objects(t, s), "Deployment/lockstep in ops")
	return d, d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
}

// TestDefaults: what comes of no values at all: one server at a time, which is nobody in
// particular and can write nothing but its volume.
func TestDefaults(t *testing.T) {
	all := objects(t, "")
	for _, key := range []string{"ConfigMap/lockstep in ops", "Secret/lockstep-tls in ops", "Service/lockstep in ops", "ServiceAccount/lockstep in ops", "PersistentVolumeClaim/lockstep in ops", "Deployment/lockstep in ops"} {
		if all[key] == nil {
			t.Errorf("there is no %s", key)
		}
	}
	if len(all) != 6 {
		t.Errorf("there are %d objects", len(all))
	}
	d, pod, c := server(t, "")
	if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		t.Errorf("%d replicas, %s", *d.Spec.Replicas, d.Spec.Strategy.Type)
	}
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context is %+v", s)
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("the container's security context is %+v", s)
	}
	if c.Image != "lockstep:dev" || c.StartupProbe == nil || c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("the container is %+v", c)
	}
	if c.Resources.Requests.Memory().String() != "256Mi" || c.Resources.Limits.Memory().IsZero() || *pod.TerminationGracePeriodSeconds < 600 {
		t.Errorf("resources %+v, %d s to end", c.Resources, *pod.TerminationGracePeriodSeconds)
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
			t.Errorf("%s mounts no volume", m.Name)
		}
	}
	claim := one[*corev1.PersistentVolumeClaim](t, all, "PersistentVolumeClaim/lockstep in ops")
	if claim.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("the journal goes with the release")
	}
}

// TestSwitches: what each value that may be set does.
func TestSwitches(t *testing.T) {
	for value, check := range map[set]func(t *testing.T, s set) bool{
		"image: {repository: r.example.com/lockstep, tag: v9, pullPolicy: Always}": func(t *testing.T, s set) bool {
			_, _, c := server(t, s)
			return c.Image == "r.example.com/lockstep:v9" && c.ImagePullPolicy == corev1.PullAlways
		},
		"imagePullSecrets: [pull]": func(t *testing.T, s set) bool {
			_, pod, _ := server(t, s)
			return pod.ImagePullSecrets[0].Name == "pull"
		},
		"secrets: [keys, some.passwords]": func(t *testing.T, s set) bool {
			_, pod, c := server(t, s)
			at := map[string]string{}
			for _, m := range c.VolumeMounts {
				for _, v := range pod.Volumes {
					if v.Name == m.Name && v.Secret != nil {
						at[m.MountPath] = v.Secret.SecretName
					}
				}
			}
			return at["/etc/lockstep/secrets/keys"] == "keys" && at["/etc/lockstep/secrets/some.passwords"] == "some.passwords"
		},
		"secretVariables: [bucket]": func(t *testing.T, s set) bool {
			_, _, c := server(t, s)
			return c.EnvFrom[0].SecretRef.Name == "bucket"
		},
		"tls: {existingSecret: mine}": func(t *testing.T, s set) bool {
			_, pod, _ := server(t, s)
			return objects(t, s)["Secret/lockstep-tls in ops"] == nil &&
				slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "tls" && v.Secret.SecretName == "mine" })
		},
		"publicURL: https://backup.example.com": func(t *testing.T, s set) bool {
			return strings.Contains(config(t, s), "public_url: https://backup.example.com")
		},
		"config: {server: {stop_timeout: 9m}}": func(t *testing.T, s set) bool {
			text := config(t, s)
			return strings.Contains(text, "stop_timeout: 9m") && strings.Contains(text, "listen: 0.0.0.0:7420") && strings.Contains(text, "state_dir: /var/lib/lockstep/state")
		},
		"config: {repository: {restic: {location: b, password_file: secrets/a/b}}}": func(t *testing.T, s set) bool {
			return !strings.Contains(config(t, s), " dir: ") && strings.Contains(config(t, ""), "dir: /var/lib/lockstep/backups")
		},
		"persistence: {existingClaim: old}": func(t *testing.T, s set) bool {
			_, pod, _ := server(t, s)
			return objects(t, s)["PersistentVolumeClaim/lockstep in ops"] == nil &&
				slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
					return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "old"
				})
		},
		"persistence: {size: 3Gi, storageClass: fast, annotations: {a: b}}": func(t *testing.T, s set) bool {
			c := one[*corev1.PersistentVolumeClaim](t, objects(t, s), "PersistentVolumeClaim/lockstep in ops")
			return c.Spec.Resources.Requests.Storage().String() == "3Gi" && *c.Spec.StorageClassName == "fast" && c.Annotations["a"] == "b"
		},
		"serviceAccount: {create: false, name: theirs}": func(t *testing.T, s set) bool {
			_, pod, _ := server(t, s)
			return pod.ServiceAccountName == "theirs" && objects(t, s)["ServiceAccount/lockstep in ops"] == nil
		},
		"serviceAccount: {name: other, annotations: {a: b}}": func(t *testing.T, s set) bool {
			_, pod, _ := server(t, s)
			return pod.ServiceAccountName == "other" && one[*corev1.ServiceAccount](t, objects(t, s), "ServiceAccount/other in ops").Annotations["a"] == "b"
		},
		"service: {type: NodePort, port: 443, annotations: {a: b}}": func(t *testing.T, s set) bool {
			v := one[*corev1.Service](t, objects(t, s), "Service/lockstep in ops")
			return v.Spec.Type == corev1.ServiceTypeNodePort && v.Spec.Ports[0].Port == 443 && v.Spec.Ports[0].TargetPort.StrVal == "https" && v.Annotations["a"] == "b"
		},
		"serviceMonitor: {enabled: true, interval: 15s, labels: {release: prom}, tokenSecret: {name: tokens, key: mine}}": func(t *testing.T, s set) bool {
			m := one[*monitoring.ServiceMonitor](t, objects(t, s), "ServiceMonitor/lockstep in ops")
			e := m.Spec.Endpoints[0]
			return m.Labels["release"] == "prom" && e.Port == "https" && e.Path == "/metrics" && e.Interval == "15s" && e.Authorization.Credentials.Name == "tokens" && e.Authorization.Credentials.Key == "mine" &&
				e.TLSConfig.CA.Secret.Name == "lockstep-tls" && *e.TLSConfig.ServerName == "lockstep.ops.svc"
		},
		"{serviceMonitor: {enabled: true}, tls: {existingSecret: mine}}": func(t *testing.T, s set) bool {
			ca := one[*monitoring.ServiceMonitor](t, objects(t, s), "ServiceMonitor/lockstep in ops").Spec.Endpoints[0].TLSConfig.CA.Secret
			return ca.Name == "mine" && ca.Key == "ca.crt"
		},
		"networkPolicy: {enabled: true, from: [{namespaceSelector: {matchLabels: {a: b}}}]}": func(t *testing.T, s set) bool {
			p := one[*networkingv1.NetworkPolicy](t, objects(t, s), "NetworkPolicy/lockstep in ops").Spec
			return len(p.PolicyTypes) == 1 && len(p.Ingress[0].From) == 2 && p.Ingress[0].Ports[0].Port.StrVal == "https"
		},
		"networkPolicy: {enabled: true, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}": func(t *testing.T, s set) bool {
			p := one[*networkingv1.NetworkPolicy](t, objects(t, s), "NetworkPolicy/lockstep in ops").Spec
			return slices.Contains(p.PolicyTypes, networkingv1.PolicyTypeEgress) && p.Egress[0].To[0].IPBlock.CIDR == "10.0.0.0/8"
		},
		"podDisruptionBudget: {enabled: true}": func(t *testing.T, s set) bool {
			b := one[*policyv1.PodDisruptionBudget](t, objects(t, s), "PodDisruptionBudget/lockstep in ops").Spec
			return b.MaxUnavailable.IntVal == 0 && b.Selector.MatchLabels["app.kubernetes.io/name"] == "lockstep"
		},
		"{resources: {limits: {cpu: 2}}, terminationGracePeriodSeconds: 99, podAnnotations: {a: b}, podLabels: {c: d}, nodeSelector: {e: f}, tolerations: [{key: g}], priorityClassName: h, affinity: {podAffinity: {}}}": func(t *testing.T, s set) bool {
			d, pod, c := server(t, s)
			return c.Resources.Limits.Cpu().String() == "2" && *pod.TerminationGracePeriodSeconds == 99 && d.Spec.Template.Annotations["a"] == "b" && d.Spec.Template.Labels["c"] == "d" &&
				pod.NodeSelector["e"] == "f" && pod.Tolerations[0].Key == "g" && pod.PriorityClassName == "h" && pod.Affinity.PodAffinity != nil
		},
	} {
		t.Run(string(value), func(t *testing.T) {
			if !check(t, value) {
				t.Error("it does not do what it says")
			}
		})
	}
}

// several are what it takes to have more than one server.
const several = "replicas: 3\nsecrets: [lockstep]\nconfig:\n  state: {postgres: {url: 'postgres://lockstep@db/lockstep'}}\n" +
	"  access: {pepper_file: secrets/lockstep/pepper}\n  repository: {restic: {location: b, password_file: secrets/lockstep/password}}\n"

// TestSeveral: several servers keep a volume each, and are the same otherwise.
func TestSeveral(t *testing.T) {
	all := objects(t, several+"persistence: {size: 3Gi, storageClass: fast}\npodDisruptionBudget: {enabled: true}")
	if all["Deployment/lockstep in ops"] != nil || all["PersistentVolumeClaim/lockstep in ops"] != nil {
		t.Error("there is what one server has")
	}
	spec := one[*appsv1.StatefulSet](t, all, "StatefulSet/lockstep in ops").Spec
	if *spec.Replicas != 3 || spec.ServiceName != "lockstep" || spec.PodManagementPolicy != appsv1.ParallelPodManagement || spec.UpdateStrategy.Type != appsv1.RollingUpdateStatefulSetStrategyType {
		t.Errorf("%+v", spec)
	}
	claim := spec.VolumeClaimTemplates[0]
	if claim.Name != "state" || claim.Spec.Resources.Requests.Storage().String() != "3Gi" || *claim.Spec.StorageClassName != "fast" {
		t.Errorf("the claim is %+v", claim)
	}
	_, alone, _ := server(t, "secrets: [lockstep]")
	pod := spec.Template.Spec
	if len(pod.TopologySpreadConstraints) != 1 || len(pod.Volumes) != len(alone.Volumes)-1 || len(pod.Containers[0].VolumeMounts) != len(alone.Containers[0].VolumeMounts) {
		t.Errorf("the pod is %+v", pod)
	}
	budget := one[*policyv1.PodDisruptionBudget](t, all, "PodDisruptionBudget/lockstep in ops").Spec
	if budget.MaxUnavailable.IntVal != 0 || !maps.Equal(spec.Selector.MatchLabels, budget.Selector.MatchLabels) {
		t.Errorf("the budget is %+v", budget)
	}
	// Each thing that it takes, left out.
	for _, part := range []string{"state:", "access:", "repository:"} {
		s := slices.DeleteFunc(strings.Split(several, "\n"), func(line string) bool { return strings.HasPrefix(line, "  "+part) })
		if _, err := ours.render(set(strings.Join(s, "\n")).values(t)); err == nil || !strings.Contains(err.Error(), "several servers need") {
			t.Errorf("without %s %v", part, err)
		}
	}
}

func config(t *testing.T, s set) string {
	t.Helper()
	return one[*corev1.ConfigMap](t, objects(t, s), "ConfigMap/lockstep in ops").Data["config.yaml"]
}

// TestChangedConfiguration: another configuration is another pod.
func TestChangedConfiguration(t *testing.T) {
	a, _, _ := server(t, "")
	b, _, _ := server(t, "config: {retention: {}}")
	if a.Spec.Template.Annotations["checksum/config"] == b.Spec.Template.Annotations["checksum/config"] {
		t.Error("the pod is the same")
	}
}

// TestSchema: what makes no sense is refused before anything is installed.
func TestSchema(t *testing.T) {
	for _, s := range []set{
		"replicas: 2", "replicas: 0", "replicas: many", several + "persistence: {existingClaim: old}", "config: {state_dir: /elsewhere}", "config: {server: {listen: 'x:1'}}", "config: {server: {tls: {}}}",
		"secrets: [{name: x}]", "secrets: [Upper]", "secrets: [a, a]", "tls: {secretName: x}", "publicURL: http://plain.example.com", "service: {port: 99999}",
		"service: {type: ExternalName}", "persistence: {enabled: false}", "image: {repository: ''}", "podDisruptionBudget: {minAvailable: 1}",
		"serviceMonitor: {interval: often}", "terminationGracePeriodSeconds: 1",
	} {
		if _, err := ours.render(s.values(t)); err == nil {
			t.Errorf("%s is taken", s)
		}
	}
}
