package bosh

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	mock "lockstep/internal/mockdirector"
)

func vms(t *testing.T, result string) ([]VM, error) {
	t.Helper()
	director := mock.New(t)
	director.Expect(mock.Info(), mock.VMsRaw("cf", result))
	return newDirector(t, optionsFor(director)).VMs(t.Context(), "cf")
}

func TestContract_6_3_VMsAreReadWithKeysInAnyCase(t *testing.T) {
	t.Parallel()
	got, err := vms(t, `{"job_name":"redis","id":"a","index":0,"bootstrap":true,"IPs":["10.0.0.1"],"vm_cid":"x"}
{"JOB_NAME":"redis","Id":"b","Index":3,"Bootstrap":false,"ips":null,"processes":[]}
`)
	want := []VM{{Group: "redis", ID: "a", Bootstrap: true, IPs: []string{"10.0.0.1"}, Machine: "x"}, {Group: "redis", ID: "b", Index: 3}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestContract_6_3_AVMWithoutIndex(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`{"job_name":"redis","id":"a","index":null}`, `{"job_name":"redis","id":"a"}`} {
		_, err := vms(t, result)
		wantError(t, err, "vmInfo index is nil")
	}
}

func TestVMsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, result := range []string{
		"<html>", `{"job_name":"redis","id":"a","index":0}{`, `[]`, `{"job_name":1,"id":"a","index":0}`, `null`,
		`{"job_name":"../x","id":"a","index":0}`, `{"job_name":"x","id":"a b","index":0}`, `{"job_name":null,"id":"a","index":0}`,
		`{"job_name":"x","id":"a","index":"0"}`, `{"job_name":"x","id":"a","index":1e99}`,
	} {
		if got, err := vms(t, result); err == nil {
			t.Errorf("%s is taken as %+v", result, got)
		}
	}
}

func TestContract_6_3_ATaskIsPolledUntilItIsDone(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	start := mock.Call{Method: "GET", URL: "/deployments/cf/vms?format=full"}
	calls := mock.Task(start, func(*mock.Director, []byte) string { return "" }, "queued", "processing", "cancelling", "done")
	// Each look at the events goes on where the one before ended.
	seen := 0
	for i, c := range calls {
		if !strings.HasSuffix(c.URL, "type=event") {
			continue
		}
		want := fmt.Sprintf("bytes=%d-", seen)
		calls[i].Check = func(r *http.Request, _ []byte) error {
			if got := r.Header.Get("Range"); got != want {
				return fmt.Errorf("Range is %q, not %q", got, want)
			}
			return nil
		}
		seen += len(c.Body)
	}
	director.Expect(mock.Info(), calls)
	if _, err := newDirector(t, optionsFor(director)).VMs(t.Context(), "cf"); err != nil {
		t.Error(err)
	}
	if len(calls) != 1+1+4*2+1 {
		t.Errorf("%d calls", len(calls))
	}
}

func TestContract_6_3_NoEventsAreNoError(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	calls := mock.VMsRaw("cf", "")
	calls[3].Status = http.StatusRequestedRangeNotSatisfiable
	if !strings.HasSuffix(calls[3].URL, "output?type=event") || calls[1].URL != calls[2].URL {
		t.Fatalf("the calls are %v", calls)
	}
	director.Expect(mock.Info(), calls)
	if _, err := newDirector(t, optionsFor(director)).VMs(t.Context(), "cf"); err != nil {
		t.Error(err)
	}
}

func TestContract_6_3_ATaskThatFails(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"error", "cancelled", "timeout", ""} {
		director := mock.New(t)
		start := mock.Call{Method: "GET", URL: "/deployments/cf/vms?format=full"}
		director.Expect(mock.Info(), mock.Task(start, func(*mock.Director, []byte) string { return "" }, "processing", state))
		_, err := newDirector(t, optionsFor(director)).VMs(t.Context(), "cf")
		wantError(t, err, "to succeed but state is '"+state+"'", "because")
	}
}

func TestATaskThatNeverEndsIsGivenUp(t *testing.T) {
	t.Parallel()
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, `{"id":7,"state":"queued"}`)
	}, nil)
	o.TaskTimeout = 50 * time.Millisecond
	_, err := newDirector(t, o).VMs(t.Context(), "cf")
	if err == nil || t.Context().Err() != nil {
		t.Errorf("%v", err)
	}
}

func TestContract_6_3_TaskIdsHave64Bits(t *testing.T) {
	t.Parallel()
	_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/deployments/cf/vms":
			http.Redirect(w, r, "/tasks/9223372036854775807", http.StatusFound)
		case "/tasks/9223372036854775807":
			_, _ = fmt.Fprint(w, `{"id":9223372036854775807,"state":"done"}`)
		case "/tasks/9223372036854775807/output":
		default:
			_, _ = fmt.Fprint(w, `{}`)
		}
	}, nil)
	if _, err := newDirector(t, o).VMs(t.Context(), "cf"); err != nil {
		t.Error(err)
	}
}

func TestContract_6_3_AnAnswerThatLeadsToNoTask(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{}", "[]", `{"id":"seven"}`, `{"id":1e40}`} {
		_, o := plain(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/info" {
				body := "{}"
				_, _ = fmt.Fprint(w, body)
				return
			}
			_, _ = fmt.Fprint(w, body)
		}, nil)
		_, err := newDirector(t, o).VMs(t.Context(), "cf")
		wantError(t, err, "list the VMs of cf", "task")
	}
}

func TestContract_6_3_AnUnknownDeploymentEndsTheRunAtOnce(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info(), mock.Fails("GET", "/deployments/cf/vms?format=full", 404, "no such deployment"))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	_, err := s.Resolve(t.Context(), nil)
	wantError(t, err, "Director responded with non-successful status code '404' response 'no such deployment'")
}

func TestContract_1_5_AnEmptyDeploymentNameFailsAfterInfo(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info())
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Exact: true})
	_, err := s.Resolve(t.Context(), nil)
	wantError(t, err, "couldn't find deployment")
}

func TestContract_6_3_DeploymentsAndTheManifestOnceMore(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info(), mock.Deployments("cf", "mysql"), mock.Manifest("cf", "name: cf\n"), mock.Deployments())
	d := newDirector(t, optionsFor(director))
	names, err := d.Deployments(t.Context())
	if diff := cmp.Diff([]string{"cf", "mysql"}, names); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if text, err := d.Manifest(t.Context(), "cf"); text != "name: cf\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if names, err = d.Deployments(t.Context()); len(names) != 0 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}

func hosts(t *testing.T, result string) ([]SSHHost, error) {
	t.Helper()
	director := mock.New(t)
	director.Expect(mock.Info(), mock.SetupSSHRaw("cf", "redis", result))
	return newDirector(t, optionsFor(director)).SetupSSH(t.Context(), SSHUser{"cf", "redis", "bosh_0123456789abcde", testKey})
}

// testKey is an RSA key that nobody has.
const testKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC0rWO3C1ybMTWwXvpJoGm7+PYvUYAe7mLPzEZr6tMoqeF6aWqUnAjHxMhrxoo7nCKVvjiwLLIGUfS6ZhPb1DdNdVZ0nXJFqTOqAQ2vB0cwgz0K6rJdXGTUJhCHWbDqqyZq4f8m0uu3cXY0zFf0xFf2QzXnY2nJqN+1FqI8ZzGSYQ=="

func TestContract_6_3_TheIndexOfAnSSHReplyIsNotTrusted(t *testing.T) {
	t.Parallel()
	got, err := hosts(t, `[{"status":"success","ip":"0.0.0.0:32887","host_public_key":"k","id":"a","index":67207977160200,"job":"x","gateway_user":null},
 {"status":"success","ip":"10.0.0.2","host_public_key":"k","id":"b","index":"zero"},
 {"status":"success","ip":"10.0.0.3","host_public_key":"k","id":"c","index":null}]`)
	want := []SSHHost{{"a", "0.0.0.0:32887", "k"}, {"b", "10.0.0.2", "k"}, {"c", "10.0.0.3", "k"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestContract_6_3_AnSSHReplyMustSaySuccess(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`[{"status":"failure","id":"a"}]`, `[{"id":"a"}]`, `{}`, `[1]`, `["x"]`, `[`} {
		if got, err := hosts(t, result); err == nil {
			t.Errorf("%s is taken as %+v", result, got)
		}
	}
}

// answer is a reply to a setup with these instances, by id.
func answer(in *mock.Instance, ids ...string) string {
	list := []map[string]string{}
	for _, id := range ids {
		list = append(list, map[string]string{"status": "success", "ip": in.Address(), "host_public_key": in.HostKey(), "id": id})
	}
	out, _ := json.Marshal(list)
	return string(out)
}

func TestContract_6_3_AnSSHHostMustBeInTheListOfVMs(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 0)
	for _, ids := range [][]string{{"b"}, {"a", "a"}} {
		director := mock.New(t)
		director.Expect(mock.Info(), mock.VMs("cf", in), mock.Manifest("cf", ""),
			mock.SetupSSHRaw("cf", "redis", answer(in, ids...)), mock.CleanupGroup("cf", "redis"))
		s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
		_, err := s.Resolve(t.Context(), nil)
		wantError(t, err, `instance "`+ids[len(ids)-1]+`"`)
	}
}

func TestContract_6_3_TheIndexIsThatOfTheVMList(t *testing.T) {
	t.Parallel()
	in := mock.NewInstance(t, "redis", "a", 7)
	director := mock.New(t)
	director.Expect(mock.Deployment("cf", "", in), mock.CleanupSSH("cf", in))
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	r := mustResolve(t, s, nil)
	got := r.Instances[0]
	if got.Index != "7" || got.Name() != lockstep.InstanceID("redis/a") || got.Address != in.Address() || !got.Sudo {
		t.Errorf("the instance is %+v", got)
	}
	release(t, r)
}

func TestNamesInPathsAreEscaped(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info(), mock.Fails("GET", "/deployments/a%2Fb%3Fc", 404, ""))
	_, err := newDirector(t, optionsFor(director)).Manifest(t.Context(), "a/b?c")
	wantError(t, err, "404")
}
