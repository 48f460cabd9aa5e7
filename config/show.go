package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
)

// Values are what Show writes, as values for JSON: the keys are those of the file.
func Values(c *Config) (map[string]any, error) {
	var out map[string]any
	if err := yaml.Unmarshal([]byte(Show(c)), &out); err != nil {
		return nil, fmt.Errorf("read the configuration as it is shown: %w", err)
	}
	return out, nil
}

// Show is the effective configuration as YAML, with every default written out.
// It names the files of keys and never holds what is in them. Reading it back
// gives the same Config, but for Path.
func Show(c *Config) string {
	root := mapping().
		add("state_dir", c.StateDir)
	if c.State.Postgres != nil {
		root.add("state", c.State.show())
	}
	root.add("repository", c.Repository.show())
	if c.Copies != nil {
		copies := mapping()
		for _, name := range sortedKeys(c.Copies) {
			copies.add(name, c.Copies[name].show())
		}
		root.add("copies", copies)
	}
	deployments := mapping()
	for _, d := range c.Deployments {
		deployments.add(d.Name, d.show(c.scheduleOf(d.Name)))
	}
	root.add("deployments", deployments)
	schedules := mapping()
	for _, s := range c.Schedules {
		if c.scheduleOf(s.Deployment) == nil || s.Name != s.Deployment {
			schedules.add(s.Name, showSchedule(s))
		}
	}
	if len(schedules.content) > 0 {
		root.add("schedules", schedules)
	}
	var receivers []*shown
	for _, r := range c.Notify {
		receivers = append(receivers, r.show())
	}
	root.addSet("notify", receivers)
	root.add("remind_every", c.RemindEvery)
	root.add("transfer_memory", int(c.TransferMemory>>20))
	root.add("server", c.Server.show())
	if c.Fleet != nil {
		root.add("fleet", c.Fleet.show())
	}
	root.add("access", c.Access.show())
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(root.node()); err != nil {
		// Nodes of strings, numbers and flags always encode.
		panic(fmt.Sprintf("encode configuration: %v", err))
	}
	return out.String()
}

// scheduleOf is the schedule that stands in a deployment, or could: a backup
// under the deployment's name.
func (c *Config) scheduleOf(deployment string) *lockstep.Schedule {
	for i, s := range c.Schedules {
		if s.Name == deployment && s.Deployment == deployment && s.Operation == lockstep.ScheduledBackup {
			return &c.Schedules[i]
		}
	}
	return nil
}

func (d Deployment) show(s *lockstep.Schedule) *shown {
	out := mapping()
	if d.BOSH != nil {
		out.add("bosh", d.BOSH.show())
	}
	d.Reach.show(out)
	out.addSet("identity", d.Identity)
	out.addSet("zone", d.Zone)
	out.add("script_location", d.Locations.Scripts)
	out.add("artifact_location", d.Locations.Artifacts)
	out.add("launcher_location", d.Locations.Launcher)
	out.add("claim_location", d.Locations.Claim)
	out.add("helper", !d.NoHelper)
	var groups []*shown
	for _, g := range d.Groups {
		groups = append(groups, g.show())
	}
	out.addSet("instance_groups", groups)
	if len(d.Jobs) > 0 {
		jobs := mapping()
		for _, j := range d.Jobs {
			jobs.add(j.Name, j.show())
		}
		out.add("jobs", jobs)
	}
	out.add("script_timeout", d.ScriptTimeout)
	out.add("max_lock", offOr(d.MaxLock))
	out.add("lock_lease", offOr(d.LockLease))
	if s != nil {
		out.add("schedule", showWhen(mapping(), *s))
	}
	if d.OverdueAfter != nil {
		out.add("overdue_after", offOr(*d.OverdueAfter))
	}
	if d.Keep != nil {
		out.add("keep", showKeep(*d.Keep))
	}
	return out.add("on_restore_failure", string(d.OnRestoreFailure))
}

func offOr(d time.Duration) any {
	if d == 0 {
		return "off"
	}
	return d
}

func (s *SSH) show() *shown {
	return mapping().
		addSet("user", s.User).
		addSet("port", s.Port).
		add("sudo", s.Sudo).
		addSet("identity_file", s.IdentityFiles).
		addSet("certificate_file", s.CertificateFiles).
		addSet("known_hosts", s.KnownHosts).
		addSet("identities_only", s.IdentitiesOnly).
		addSet("identity_agent", s.IdentityAgent).
		addSet("proxy_jump", s.ProxyJump).
		addSet("config_file", s.ConfigFile).
		addSet("dial_timeout", s.DialTimeout).
		addSet("handshake_timeout", s.HandshakeTimeout).
		addSet("keepalive_interval", s.KeepaliveInterval).
		addSet("keepalive_misses", s.KeepaliveMisses).
		addSet("max_sessions", s.MaxSessions).
		addSet("max_connections", s.MaxConnections)
}

// show adds the way, if there is one.
func (w Reach) show(to *shown) {
	switch {
	case w.Local != nil:
		to.add("local", mapping().add("sudo", w.Local.Sudo))
	case w.SSH != nil:
		to.add("ssh", w.SSH.show())
	case w.Docker != nil:
		to.add("docker", w.Docker.show())
	case w.Kubernetes != nil:
		to.add("kubernetes", w.Kubernetes.show())
	}
}

func (g Group) show() *shown {
	var instances []*shown
	for _, in := range g.Instances {
		one := mapping().add("id", in.ID).addSet("host", in.Host).addSet("pod", in.Pod).addSet("container", in.Container).add("index", in.Index).addSet("dir", in.Dir)
		one.flow = true
		instances = append(instances, one)
	}
	out := mapping().add("name", g.Name)
	g.Reach.show(out)
	return out.addSet("instances", instances)
}

func (j Job) show() *shown {
	var before []*shown
	for _, r := range j.LockBefore {
		one := mapping().add("job", r.Job).addSet("release", r.Release)
		one.flow = true
		before = append(before, one)
	}
	var scripts *shown
	for _, s := range j.Scripts {
		if scripts == nil {
			scripts = mapping()
		}
		scripts.add(string(s.Kind), s.Path)
	}
	return mapping().
		addSet("lock_before", before).
		addSet("replace", j.Replace).
		addSet("may_be_empty", j.MayBeEmpty).
		addSet("backup_one_restore_all", j.OneRestoreAll).
		addSet("restore_parallel", j.RestoreParallel).
		addSet("script_timeout", j.ScriptTimeout).
		addSet("skip", j.Skip).
		addSet("scripts", scripts).
		addSet("groups", j.Groups)
}

// shown is a mapping being written, in the order of its adds.
type shown struct {
	content []*yaml.Node
	flow    bool // on one line
}

func mapping() *shown { return &shown{} }

func (s *shown) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: s.content}
	if s.flow || len(s.content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// without is the content without a key.
func (s *shown) without(key string) []*yaml.Node {
	for i := 0; i < len(s.content); i += 2 {
		if s.content[i].Value == key {
			return slices.Concat(s.content[:i], s.content[i+2:])
		}
	}
	return s.content
}

// add writes a key: a text, number, flag, duration, mapping, or a list of
// texts or mappings.
func (s *shown) add(key string, value any) *shown {
	s.content = append(s.content, textNode(key), nodeOf(value))
	return s
}

// addSet writes a key unless its value is zero.
func (s *shown) addSet(key string, value any) *shown {
	if v := reflect.ValueOf(value); v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
		return s
	}
	return s.add(key, value)
}

func nodeOf(value any) *yaml.Node {
	switch v := value.(type) {
	case *shown:
		return v.node()
	case []*shown:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, one := range v {
			list.Content = append(list.Content, one.node())
		}
		return list
	case []string:
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, one := range v {
			list.Content = append(list.Content, nodeOf(one))
		}
		return list
	case string:
		return textNode(strings.ReplaceAll(v, "$", "$$"))
	case variable:
		return textNode("${" + string(v) + "}")
	case time.Duration:
		return textNode(durationText(v))
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(value)}
}

// textNode is a text that stays one: "0" keeps its quotes.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if n.Style == 0 {
		n.Tag = "!!str"
	}
	return n
}

// durationText is a duration as people write it: "1h" rather than "1h0m0s".
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
