//go:build kubesuite

package kube

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// The node's addresses, which are inside of its own network: see inside. That of the
// API is the one of its service, so that pods reach it without a proxy.
const (
	address    = "10.97.0.1"
	apiAddress = "10.98.0.1"
	podRange   = "10.99.0.0/24"
)

// write writes the configuration of all parts.
func (n *node) write(programs string) error {
	for _, dir := range []string{"pki", "log", "bin", "cni", "plugins"} {
		if err := os.MkdirAll(filepath.Join(n.dir, dir), 0o700); err != nil {
			return err
		}
	}
	// One program is all parts: each has its name.
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"} {
		if err := os.Symlink(variable("LOCKSTEP_KUBE_NODE")+"/node", filepath.Join(n.dir, "bin", name)); err != nil {
			return err
		}
	}
	if err := n.certificates(); err != nil {
		return err
	}
	at := strings.NewReplacer("DIR", n.dir, "PROGRAMS", programs, "API", apiAddress, "NODE", address, "PODS", podRange,
		"GROUPS", variable("LOCKSTEP_KUBE_GROUPS"))
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(at.Replace(text)), 0o600); err != nil {
			return err
		}
	}
	for name, line := range lines {
		n.parts[name] = &part{name: name, argv: strings.Fields(at.Replace(line)), log: filepath.Join(n.dir, "log", name)}
	}
	return os.Setenv("KUBECONFIG", filepath.Join(n.dir, "kubeconfig"))
}

// certificates makes an authority, the API server's certificate, and the key of
// service accounts.
func (n *node) certificates() error {
	out, err := sh(`cd ` + n.dir + `/pki
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=ca -keyout ca.key -out ca.crt
openssl req -newkey rsa:2048 -nodes -subj /CN=kube-apiserver -keyout api.key -out api.csr
printf 'subjectAltName=IP:127.0.0.1,IP:` + apiAddress + `,DNS:kubernetes.default.svc\n' >names
openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out api.crt
openssl genrsa -out sa.key 2048
openssl rsa -in sa.key -pubout -out sa.pub
echo of-the-tests,admin,admin,system:masters >tokens`)
	if err != nil {
		return fmt.Errorf("make certificates: %w\n%s", err, out)
	}
	return nil
}

// pauseImage is the archive of an image with one program.
func (n *node) pauseImage() (path string, err error) {
	program, err := os.ReadFile(filepath.Join(variable("LOCKSTEP_KUBE_NODE"), "pause"))
	if err != nil {
		return "", err
	}
	data, err := image("localhost/pause:1", "pause", program)
	if err != nil {
		return "", err
	}
	path = filepath.Join(n.dir, "pause.tar")
	return path, os.WriteFile(path, data, 0o600)
}

// image is the archive of an image in which there is a program, and nothing else.
func image(name, program string, data []byte) ([]byte, error) {
	layer, err := archive(map[string][]byte{program: data})
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Entrypoint": []string{"/" + program}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	return archive(map[string][]byte{"config.json": config, "manifest.json": manifest, "layer.tar": layer})
}

// archive is a tar of files.
func archive(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), w.Close()
}

// lines are how the parts are started.
var lines = map[string]string{
	"containerd": "containerd --config DIR/containerd.toml",
	"etcd": "etcd --data-dir DIR/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379" +
		" --listen-peer-urls http://127.0.0.1:2380",
	"kube-apiserver": "kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port 443 --bind-address 0.0.0.0 --advertise-address NODE" +
		" --tls-cert-file DIR/pki/api.crt --tls-private-key-file DIR/pki/api.key --cert-dir DIR/pki --token-auth-file DIR/pki/tokens" +
		" --authorization-mode Node,RBAC --service-cluster-ip-range 10.98.0.0/24 --kubelet-preferred-address-types InternalIP --allow-privileged" +
		" --service-account-key-file DIR/pki/sa.pub --service-account-signing-key-file DIR/pki/sa.key --service-account-issuer https://kubernetes.default.svc",
	"kube-controller-manager": "kube-controller-manager --kubeconfig DIR/kubeconfig --service-account-private-key-file DIR/pki/sa.key" +
		" --root-ca-file DIR/pki/ca.crt --leader-elect=false --bind-address 127.0.0.1 --pvclaimbinder-sync-period 1s",
	"kube-scheduler": "kube-scheduler --kubeconfig DIR/kubeconfig --leader-elect=false --bind-address 127.0.0.1",
	"kubelet": "kubelet --config DIR/kubelet.yaml --kubeconfig DIR/kubeconfig --root-dir DIR/kubelet --node-ip NODE --hostname-override node" +
		" --cert-dir DIR/pki/kubelet",
}

// files are the parts' configurations. Nothing is done about a full disk or a full
// memory of this machine: they are not the node's.
var files = map[string]string{
	"containerd.toml": `version = 2
root = "DIR/containers"
state = "/run/node"
[grpc]
  address = "DIR/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "PROGRAMS/usr/lib/cni"
    conf_dir = "DIR/cni"
`,
	"cni/pods.conflist": `{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": true,
 "ipam": {"type": "host-local", "dataDir": "DIR/addresses", "ranges": [[{"subnet": "PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`,
	"kubeconfig": `apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://127.0.0.1", certificate-authority: DIR/pki/ca.crt}}]
users: [{name: admin, user: {token: of-the-tests}}]
contexts: [{name: node, context: {cluster: node, user: admin}}]
current-context: node
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: NODE
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: GROUPS
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://DIR/containerd.sock
volumePluginDir: DIR/plugins
podLogsDir: DIR/log/pods
healthzPort: 0
resolvConf: ""
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {nodefs.available: "1Mi", imagefs.available: "1Mi", memory.available: "10Mi"}
maxPods: 200
registryPullQPS: 0
`,
}
