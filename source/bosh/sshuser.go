package bosh

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// SSHHost is a machine on which the director made our SSH user.
type SSHHost struct {
	ID string
	// IP is the address, with or without a port.
	IP string
	// HostKey is the machine's public host key, as in authorized_keys.
	HostKey string
}

// SSHUser is a user that a director makes on the machines of an instance group.
type SSHUser struct {
	Deployment, Group, Name string
	// PublicKey is a line of authorized_keys; removing needs none.
	PublicKey string
}

// SetupSSH makes a user on machines of its group, those with these ids, or, without
// ids, all. It gives the machines in the director's order.
func (d *Director) SetupSSH(ctx context.Context, u SSHUser, ids ...string) ([]SSHHost, error) {
	fail := func(err error) ([]SSHHost, error) {
		return nil, d.advised(fmt.Sprintf("set up SSH on %s of %s", u.Group, u.Deployment), err)
	}
	id, err := d.startTask(ctx, d.sshRequest(sshRequest{
		Command: "setup", Deployment: u.Deployment, Target: sshTarget{Group: u.Group, Indexes: ids, IDs: ids},
		Params: map[string]string{"user": u.Name, "public_key": u.PublicKey},
	}))
	if err != nil {
		return fail(err)
	}
	result, err := d.taskResult(ctx, id)
	if err != nil {
		return fail(err)
	}
	hosts, err := parseSSHHosts(result)
	if err != nil {
		return fail(err)
	}
	return hosts, nil
}

// CleanupSSH asks the director to remove a user from machines of its group:
// those with these ids, or, without ids, all. The director does so when it
// gets to it; nobody waits for that.
func (d *Director) CleanupSSH(ctx context.Context, u SSHUser, ids ...string) error {
	r := d.sshRequest(sshRequest{
		Command: "cleanup", Deployment: u.Deployment, Target: sshTarget{Group: u.Group, Indexes: ids, IDs: ids},
		Params: map[string]string{"user_regex": "^" + u.Name},
	})
	r.limit = maxSmall
	if _, err := d.callAuthorized(ctx, r); err != nil {
		return d.advised(fmt.Sprintf("remove SSH user %s from %s of %s", u.Name, u.Group, u.Deployment), err)
	}
	return nil
}

// sshRequest is the body of a request about SSH users.
type sshRequest struct {
	Command    string            `json:"command"`
	Deployment string            `json:"deployment_name"`
	Target     sshTarget         `json:"target"`
	Params     map[string]string `json:"params"`
}

type sshTarget struct {
	Group   string   `json:"job"`
	Indexes []string `json:"indexes"`
	IDs     []string `json:"ids"`
}

func (d *Director) sshRequest(r sshRequest) request {
	if r.Target.IDs == nil {
		r.Target.Indexes, r.Target.IDs = []string{}, []string{}
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode SSH request: %v", err)) // texts always encode
	}
	return request{
		method: http.MethodPost, url: d.url + deploymentPath(r.Deployment) + "/ssh", body: body,
		header: http.Header{"Content-Type": {"application/json"}},
	}
}

// parseSSHHosts reads a JSON array. Its index is not trusted and not read.
func parseSSHHosts(data []byte) ([]SSHHost, error) {
	var hosts []SSHHost
	err := eachJSON(data, func(raw json.RawMessage) error {
		var list []struct {
			Status  string `json:"status"`
			IP      string `json:"ip"`
			HostKey string `json:"host_public_key"`
			ID      string `json:"id"`
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		for _, x := range list {
			if x.Status != "success" {
				return fmt.Errorf("instance %q: the director says %q, not success", x.ID, x.Status)
			}
			hosts = append(hosts, SSHHost{ID: x.ID, IP: x.IP, HostKey: x.HostKey})
		}
		return nil
	})
	return hosts, err
}
