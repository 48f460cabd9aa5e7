package mockdirector

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// Info is the call of somebody who asks who the director is, which takes a
// name and a password.
func Info() []Call {
	return []Call{{Method: "GET", URL: "/info", Anybody: true, Body: `{"name":"mock","uuid":"5e9ad4c6-mock","user_authentication":{"type":"basic","options":{}}}`}}
}

// InfoUAA is Info of a director that leaves logins to a UAA.
func InfoUAA(url string) []Call {
	body, _ := json.Marshal(map[string]any{
		"name": "mock", "user_authentication": map[string]any{"type": "uaa", "options": map[string]string{"url": url}},
	})
	return []Call{{Method: "GET", URL: "/info", Anybody: true, Body: string(body)}}
}

// Deployments lists deployments.
func Deployments(names ...string) []Call {
	list := []map[string]string{}
	for _, n := range names {
		list = append(list, map[string]string{"name": n})
	}
	body, _ := json.Marshal(list)
	return []Call{{Method: "GET", URL: "/deployments", Body: string(body)}}
}

// Manifest fetches a deployment's manifest.
func Manifest(deployment, text string) []Call {
	body, _ := json.Marshal(map[string]string{"manifest": text})
	return []Call{{Method: "GET", URL: "/deployments/" + deployment, Body: string(body)}}
}

// VMs lists a deployment's machines: a task.
func VMs(deployment string, instances ...*Instance) []Call {
	return VMsRaw(deployment, machines(instances))
}

// machines are instances as a director lists them.
func machines(instances []*Instance) string {
	var lines []string
	for _, in := range instances {
		state := "running"
		if in.Silent {
			state = "unresponsive agent"
		}
		line, _ := json.Marshal(map[string]any{
			"job_name": in.Group, "id": in.ID, "index": in.Index, "bootstrap": in.Bootstrap,
			"IPs": in.ips(), "agent_id": "agent-" + in.ID, "vm_cid": "vm-" + in.ID, "job_state": state, "az": nil,
		})
		lines = append(lines, string(line))
	}
	return strings.Join(lines, "\n") + "\n"
}

// VMsRaw is VMs with that answer.
func VMsRaw(deployment, result string) []Call {
	return Task(Call{Method: "GET", URL: "/deployments/" + deployment + "/vms?format=full"},
		func(*Director, []byte) string { return result }, "done")
}

// Fails is a call that is answered with an error.
func Fails(method, url string, status int, body string) []Call {
	return []Call{{Method: method, URL: url, Status: status, Body: body}}
}

// Task is a call that starts a task, followed until the task is in the last of
// those states. The result is made when the task is started, and asked for
// only if the last state is done.
func Task(start Call, do func(d *Director, body []byte) string, states ...string) []Call {
	path := fmt.Sprintf("/tasks/%d", rand.Int64())
	result := ""
	start.Status, start.Header = http.StatusFound, map[string]string{"Location": path}
	start.Do = func(d *Director, body []byte) string {
		result = do(d, body)
		return ""
	}
	state := func(s string) Call {
		return Call{Method: "GET", URL: path, Body: fmt.Sprintf(`{"id":%s,"state":%q,"result":"because"}`, strings.TrimPrefix(path, "/tasks/"), s)}
	}
	calls := []Call{start, state(states[0])}
	for _, s := range states {
		calls = append(calls, state(s), Call{Method: "GET", URL: path + "/output?type=event", Status: http.StatusPartialContent, Body: "{}\n"})
	}
	if states[len(states)-1] == "done" {
		calls = append(calls, Call{Method: "GET", URL: path + "/output?type=result", Do: func(*Director, []byte) string { return result }})
	}
	return calls
}

// sshBody is the body of calls about SSH users.
type sshBody struct {
	Command        string
	DeploymentName string `json:"deployment_name"`
	Target         struct {
		Job          string
		Indexes, IDs []string
	}
	Params struct {
		User      string
		PublicKey string `json:"public_key"`
		UserRegex string `json:"user_regex"`
	}
}

func decode(body []byte) sshBody {
	var b sshBody
	_ = json.Unmarshal(body, &b)
	return b
}

func sshCall(deployment, command, group string, ids ...string) Call {
	return Call{
		Method: "POST", URL: "/deployments/" + deployment + "/ssh",
		Match: func(body []byte) bool {
			b := decode(body)
			return b.Command == command && b.Target.Job == group
		},
		Check: func(r *http.Request, body []byte) error {
			b := decode(body)
			switch {
			case r.Header.Get("Content-Type") != "application/json":
				return fmt.Errorf("Content-Type is %q", r.Header.Get("Content-Type"))
			case b.Command != command || b.DeploymentName != deployment || b.Target.Job != group:
				return fmt.Errorf("%s of %s in %s was expected, got %s", command, group, deployment, body)
			}
			return checkUser(b, ids)
		},
	}
}

var userPattern = regexp.MustCompile(`^bosh_[0-9a-f]{15}$`)

func checkUser(b sshBody, ids []string) error {
	if b.Command == "cleanup" {
		if !userPattern.MatchString(strings.TrimPrefix(b.Params.UserRegex, "^")) || b.Params.UserRegex[0] != '^' {
			return fmt.Errorf("user_regex is %q", b.Params.UserRegex)
		}
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(b.Params.PublicKey))
	switch {
	case err != nil:
		return fmt.Errorf("read the public key: %w", err)
	case key.Type() != ssh.KeyAlgoRSA:
		return fmt.Errorf("the key is %s", key.Type())
	case !userPattern.MatchString(b.Params.User):
		return fmt.Errorf("user is %q", b.Params.User)
	case b.Target.Indexes == nil || b.Target.IDs == nil || !slices.Equal(b.Target.Indexes, ids) || !slices.Equal(b.Target.IDs, ids):
		return fmt.Errorf("setup of the instances %q was expected (none are named where it is all), got %+v", ids, b.Target)
	}
	return nil
}

// SetupSSH makes a user on the machines of a group while it answers. The index
// in its answer is a number that means nothing, as a real one's may be.
func SetupSSH(deployment, group string, instances ...*Instance) []Call {
	return setup(sshCall(deployment, "setup", group), group, instances)
}

// SetupSome is SetupSSH that must name these instances.
func SetupSome(deployment, group string, instances ...*Instance) []Call {
	return setup(sshCall(deployment, "setup", group, idsOf(instances)...), group, instances)
}

func idsOf(instances []*Instance) []string {
	var ids []string
	for _, in := range instances {
		ids = append(ids, in.ID)
	}
	return ids
}

func setup(start Call, group string, instances []*Instance) []Call {
	return Task(start, func(d *Director, body []byte) string {
		b := decode(body)
		d.user = b.Params.User
		hosts := []map[string]any{}
		for _, in := range instances {
			in.addUser(b.Params.User, b.Params.PublicKey)
			hosts = append(hosts, map[string]any{
				"status": "success", "ip": in.Address(), "host_public_key": in.HostKey(), "id": in.ID,
				"index": 67207977160200 + rand.Int64N(1000), "job": group, "gateway_user": nil, "gateway_host": nil,
			})
		}
		out, _ := json.Marshal(hosts)
		return string(out)
	}, "done")
}

// SetupSSHRaw is SetupSSH with that answer and no users.
func SetupSSHRaw(deployment, group, result string) []Call {
	return Task(sshCall(deployment, "setup", group), func(*Director, []byte) string { return result }, "done")
}

// CleanupSSH removes the user from machines: one call, which must name this
// one instance.
func CleanupSSH(deployment string, in *Instance) []Call {
	return cleanup(sshCall(deployment, "cleanup", in.Group), []string{in.ID}, []*Instance{in})
}

// CleanupGroup removes the user from a whole group: the call must name no
// instance.
func CleanupGroup(deployment, group string, instances ...*Instance) []Call {
	return cleanup(sshCall(deployment, "cleanup", group), []string{}, instances)
}

// CleanupSome is CleanupGroup that must name these instances.
func CleanupSome(deployment, group string, instances ...*Instance) []Call {
	return cleanup(sshCall(deployment, "cleanup", group), idsOf(instances), instances)
}

func cleanup(start Call, ids []string, instances []*Instance) []Call {
	check := start.Check
	start.Check = func(r *http.Request, body []byte) error {
		if b := decode(body); !slices.Equal(b.Target.IDs, ids) || !slices.Equal(b.Target.Indexes, ids) || b.Target.IDs == nil || b.Target.Indexes == nil {
			return fmt.Errorf("the ids %q were expected, got %s", ids, body)
		}
		return check(r, body)
	}
	calls := Task(start, func(_ *Director, body []byte) string {
		for _, in := range instances {
			in.removeUsers(decode(body).Params.UserRegex)
		}
		return ""
	}, "queued")
	return calls[:2] // nobody waits for the task
}

// CleanupSSHFails is CleanupSSH that is answered with status 500.
func CleanupSSHFails(deployment string, in *Instance, body string) []Call {
	c := sshCall(deployment, "cleanup", in.Group)
	c.Status, c.Body = http.StatusInternalServerError, body
	return []Call{c}
}

// Deployment are the calls of a whole run without cleanup: info, machines,
// manifest, and the setup of each group in the order in which it first
// appears.
func Deployment(deployment, manifest string, instances ...*Instance) []Call {
	calls := slices.Concat(Info(), VMs(deployment, instances...), Manifest(deployment, manifest))
	var groups []string
	members := map[string][]*Instance{}
	for _, in := range instances {
		if members[in.Group] == nil {
			groups = append(groups, in.Group)
		}
		members[in.Group] = append(members[in.Group], in)
	}
	for _, g := range groups {
		calls = append(calls, SetupSSH(deployment, g, members[g]...)...)
	}
	return calls
}

// Cleanup are the calls of CleanupSSH for each instance.
func Cleanup(deployment string, instances ...*Instance) []Call {
	var calls []Call
	for _, in := range instances {
		calls = append(calls, CleanupSSH(deployment, in)...)
	}
	return calls
}
