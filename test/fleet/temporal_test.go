//go:build fleettest

package fleet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

// temporal is a server of a test's own, on 127.0.0.1, with its database in a file.
type temporal struct {
	*process
	dir, address string
	replayed     bool
}

const namespace = "lockstep"

func newTemporal(t *testing.T) *temporal {
	t.Helper()
	s := &temporal{dir: t.TempDir()}
	ports := freePorts(t, 9)
	s.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	for name, text := range map[string]string{"config.yaml": temporalConfig(s.dir, ports), "dynamic.yaml": "{}\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.begin(t)
	s.register(t)
	return s
}

// begin starts it, and returns when it answers.
func (s *temporal) begin(t *testing.T) {
	t.Helper()
	binary := os.Getenv("LOCKSTEP_TEST_TEMPORAL")
	if binary == "" {
		t.Fatal("LOCKSTEP_TEST_TEMPORAL names no server: run the tests with test/fleet/run")
	}
	s.process = start(t, "temporal", s.dir, binary, "--config-file", filepath.Join(s.dir, "config.yaml"), "--allow-no-auth", "start")
	t.Cleanup(func() { s.replayAll(t) }) // before that which kills it
	await(t, "Temporal answers", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		c, err := client.DialContext(ctx, client.Options{HostPort: s.address, Namespace: "temporal-system", Logger: silent{}})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

// register makes the namespace.
func (s *temporal) register(t *testing.T) {
	t.Helper()
	c, err := client.NewNamespaceClient(client.Options{HostPort: s.address, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Register(context.Background(), &workflowservice.RegisterNamespaceRequest{
		Namespace: namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
}

// client is one of the test's own.
func (s *temporal) client(t *testing.T) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: s.address, Namespace: namespace, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// freePorts are ports of 127.0.0.1 that nobody had a moment ago.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func temporalConfig(dir string, p []int) string {
	store := func(name string) string {
		return fmt.Sprintf(`    %s:
      sql:
        pluginName: sqlite
        databaseName: %q
        connectAddr: localhost
        connectProtocol: tcp
        connectAttributes: {cache: private, setup: true, journal_mode: wal, synchronous: "2"}
        maxConns: 1
        maxIdleConns: 1
        maxConnLifetime: 1h
`, name, filepath.Join(dir, name+".db"))
	}
	service := func(name string, grpc, member int, more string) string {
		return fmt.Sprintf("  %s: {rpc: {grpcPort: %d, membershipPort: %d, bindOnIP: 127.0.0.1%s}}\n", name, grpc, member, more)
	}
	return `log: {stdout: true, level: error}
persistence:
  defaultStore: store
  visibilityStore: visibility
  numHistoryShards: 1
  datastores:
` + store("store") + store("visibility") + `global:
  membership: {maxJoinDuration: 30s, broadcastAddress: 127.0.0.1}
services:
` + service("frontend", p[0], p[1], fmt.Sprintf(", httpPort: %d", p[8])) + service("matching", p[2], p[3], "") +
		service("history", p[4], p[5], "") + service("worker", p[6], p[7], "") + fmt.Sprintf(`clusterMetadata:
  enableGlobalNamespace: false
  failoverVersionIncrement: 10
  masterClusterName: active
  currentClusterName: active
  clusterInformation:
    active: {enabled: true, initialFailoverVersion: 1, rpcName: frontend, rpcAddress: "127.0.0.1:%d"}
dcRedirectionPolicy: {policy: noop}
dynamicConfigClient: {filepath: %q, pollInterval: 60s}
`, p[0], filepath.Join(dir, "dynamic.yaml"))
}

// silent is a log for clients of the test.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
