package config

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// groups are the instance groups, each instance checked against all others.
func (f *fileDeployment) groups(d *decoder, whole Reach, name text) []Group {
	if f.Groups.set && len(f.Groups.value) == 0 {
		d.problem(f.Groups.at, "deployment %q has no instances", name.value)
	}
	var groups []Group
	names := seen{d: d, what: "instance group"}
	places := map[string]*seen{}
	here := 0
	for _, g := range f.Groups.value {
		d.name("instance group", g.value.Name)
		names.add(g.value.Name)
		out := Group{Name: g.value.Name.value, Reach: g.value.build(d, g.value.Name)}
		g.value.one(d, fmt.Sprintf("instance group %q", out.Name))
		way := cmp.Or(out.Reach, whole)
		if places[way.space()] == nil {
			places[way.space()] = way.places(d)
		}
		out.Instances = f.instances(d, g.value, way, places[way.space()])
		if way.Local != nil {
			here += len(out.Instances)
		}
		f.found(d, g, way)
		groups = append(groups, out)
	}
	if here > 1 {
		f.apart(d, whole, name)
	}
	return groups
}

// space is what a name of an instance's place is unique in.
func (w Reach) space() string {
	if w.Docker != nil {
		return "docker " + w.Docker.Host
	}
	if k := w.Kubernetes; k != nil {
		return fmt.Sprintf("kubernetes %q %q %s", k.Kubeconfig, k.Context, k.Namespace)
	}
	return w.kind()
}

// places notes where instances are that are reached in this way.
func (w Reach) places(d *decoder) *seen {
	switch {
	case w.Docker != nil:
		return &seen{d: d, what: "container"}
	case w.Kubernetes != nil:
		return &seen{d: d, what: "pod"}
	case w.Local != nil:
		return &seen{d: d, what: "folder"}
	}
	return &seen{d: d, what: "host"}
}

// found checks that a group's instances are either listed or found.
func (f *fileDeployment) found(d *decoder, g section[fileGroup], way Reach) {
	name, listed := g.value.Name.value, g.value.Instances
	switch finds := way.finds(); {
	case way == (Reach{}) && !f.wayOfSome(): // told of the deployment
	case way == (Reach{}):
		d.problem(g.at, "instance group %q does not say how its instances are reached; write for example: ssh: {user: ops}, docker: {project: shop}, kubernetes: {stateful_set: db} or local: {} in it, or in the deployment", name)
	case finds && !g.value.has():
		d.problem(g.at, "the instances of instance group %q are those that %s has; remove it, or write into it how its own are reached", name, way.knows())
	case finds && listed.set:
		d.problem(listed.at, "the instances of instance group %q are those that %s has; remove instances", name, way.knows())
	case !finds && listed.set && len(listed.value) == 0:
		d.problem(listed.at, "instance group %q has no instances", name)
	case !finds && !listed.set:
		d.problem(g.at, "key \"instances\" is missing in instance group %q; write for example: instances: [%s]", name, exampleOf(way))
	}
}

// exampleOf is an instance that is reached that way.
func exampleOf(way Reach) string {
	switch {
	case way.Docker != nil:
		return `{id: "0", container: shop-db-1}`
	case way.Kubernetes != nil:
		return `{id: "0", pod: db-0}`
	case way.Local != nil:
		return `{id: "0"}`
	}
	return `{id: "0", host: 10.0.0.11}`
}

func (f *fileDeployment) instances(d *decoder, g fileGroup, way Reach, places *seen) []Instance {
	var out []Instance
	ids := seen{d: d, what: "instance id"}
	indexes := seen{d: d, what: "index"}
	for i, item := range g.Instances.value {
		in := item.value
		if !in.Index.set {
			in.Index = text{leaf[string]{strconv.Itoa(i), item.at, true}}
		}
		d.name("instance id", in.ID)
		d.name("index", in.Index)
		ids.add(in.ID)
		indexes.add(in.Index)
		in.place(d, way, item.at, places)
		out = append(out, Instance{ID: in.ID.value, Index: in.Index.value, Host: in.Host.value, Container: in.Container.value, Pod: in.Pod.value, Dir: in.Dir.value})
	}
	return out
}

// place checks where an instance is: a host over SSH, a container, a folder here.
func (in fileInstance) place(d *decoder, way Reach, at position, places *seen) {
	switch {
	case way.Kubernetes == nil && in.Pod.set:
		d.problem(in.Pod.at, "pod %q is for instances that are reached with kubernetes", in.Pod.value)
	case way.Kubernetes != nil && !in.Pod.set && !way.finds():
		d.problem(at, "instance %q has no pod; write for example: {id: %q, pod: db-0}", in.ID.value, in.ID.value)
	case way.Kubernetes != nil && (in.Host.set || in.Dir.set):
		d.problem(at, "instance %q is a pod, which has neither host nor dir", in.ID.value)
	case way.Kubernetes != nil && in.Pod.set && !dnsName.MatchString(in.Pod.value):
		d.problem(in.Pod.at, "pod %q is not a name in Kubernetes; write for example: pod: db-0", in.Pod.value)
	case way.Kubernetes != nil:
		places.add(text{leaf[string]{in.Pod.value + in.containerOf(way), in.Pod.at, in.Pod.set}})
	case way.Docker == nil && in.Container.set:
		d.problem(in.Container.at, "container %q is for instances that are reached with docker or kubernetes", in.Container.value)
	case way.Docker != nil && !in.Container.set && !way.Docker.Finds():
		d.problem(at, "instance %q has no container; write for example: {id: %q, container: shop-db-1}", in.ID.value, in.ID.value)
	case way.Docker != nil && (in.Host.set || in.Dir.set):
		d.problem(at, "instance %q is a container, which has neither host nor dir", in.ID.value)
	case way.Docker != nil:
		places.add(in.Container)
	case way.Local != nil && in.Host.set:
		d.problem(in.Host.at, "host %q: instances of a local deployment are on this machine; remove it, or use ssh in place of local", in.Host.value)
	case way.SSH != nil && in.Dir.set:
		d.problem(in.Dir.at, "dir is for local instances; over SSH locations are relative to the login directory")
	case way.SSH != nil && !in.Host.set:
		d.problem(at, "instance %q has no host; write for example: {id: %q, host: 10.0.0.11}", in.ID.value, in.ID.value)
	case way.SSH != nil && !isHost(in.Host.value):
		d.problem(in.Host.at, `%q is not a host; write for example: host: db1, host: "10.0.0.12:2222" or host: "[::1]:22"`, in.Host.value)
	case way.SSH != nil:
		places.add(in.Host)
	case way.Local != nil && in.Dir.set:
		places.add(text(in.Dir))
	}
}

// containerOf is the container of a pod that is named, behind a slash.
func (in fileInstance) containerOf(way Reach) string {
	if name := cmp.Or(in.Container.value, way.Kubernetes.Container); name != "" {
		return "/" + name
	}
	return ""
}

// knows is who is asked which instances there are.
func (w Reach) knows() string {
	if w.Kubernetes != nil {
		return "the cluster"
	}
	return "the engine"
}

// apart checks that several local instances do not share their folders: each
// is claimed on its own.
func (f *fileDeployment) apart(d *decoder, whole Reach, name text) {
	for _, g := range f.Groups.value {
		if !g.value.Local.set && (g.value.has() || whole.Local == nil) {
			continue
		}
		for _, in := range g.value.Instances.value {
			if !in.value.Dir.set {
				d.problem(in.at, "deployment %q has several instances on this machine, so each needs a folder; write for example: {id: %q, dir: ./instances/%s}", name.value, in.value.ID.value, in.value.ID.value)
			}
		}
	}
	l := f.locations(&decoder{})
	for _, x := range []struct{ key, value string }{
		{"script_location", l.Scripts}, {"artifact_location", l.Artifacts},
		{"launcher_location", l.Launcher}, {"claim_location", l.Claim},
	} {
		if filepath.IsAbs(x.value) {
			d.problem(name.at, "deployment %q has several instances on this machine, so %s must be relative to their folders; write for example: %s: %s",
				name.value, x.key, x.key, strings.TrimPrefix(x.value, "/"))
		}
	}
}

// isHost reports whether s is "h", "h:2222", "[::1]:22" or "::1".
func isHost(s string) bool {
	host := s
	if h, p, err := net.SplitHostPort(s); err == nil {
		if port, err := strconv.Atoi(p); err != nil || port < 1 || port > 65535 {
			return false
		}
		host = h
	} else if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		host = s[1 : len(s)-1]
	}
	if strings.Contains(host, ":") && net.ParseIP(strings.Split(host, "%")[0]) == nil {
		return false
	}
	return host != "" && host[0] != '-' && !strings.ContainsAny(host, " \t\r\n/@[]\"'")
}

// seen notes values that must be unique and are there twice.
type seen struct {
	d     *decoder
	what  string
	lines map[string]int
}

func (s *seen) add(t text) {
	if !t.set {
		return
	}
	if line, ok := s.lines[t.value]; ok {
		s.d.problem(t.at, "%s %q is there twice, first in line %d", s.what, t.value, line)
		return
	}
	if s.lines == nil {
		s.lines = map[string]int{}
	}
	s.lines[t.value] = t.at.line
}
