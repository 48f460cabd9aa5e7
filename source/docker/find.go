package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"lockstep"
	"lockstep/target/docker"
)

// Labels that Compose gives its containers, and those of ours.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneOff  = "com.docker.compose.oneoff" // "True": of `docker compose run`
	labelGroup   = "lockstep.group"
	labelIndex   = "lockstep.index"
	labelJob     = "lockstep.job"
)

// found is an instance and its container. Where there is none, summary is zero.
type found struct {
	group, id, index string
	container        string // its name, or what the specification calls it
	summary          container.Summary
}

// listTimeout bounds asking an engine for its containers: one that hangs must keep
// nobody from unlocking what is elsewhere.
const listTimeout = 30 * time.Second

// find asks the engine for the specification's containers, those that do not run
// too: a container that is down is not one that is not wanted.
func (s *Source) find(ctx context.Context, engine *docker.Engine) ([]found, error) {
	filters := client.Filters{}
	switch {
	case s.spec.Project != "":
		filters.Add("label", labelProject+"="+s.spec.Project)
	case s.spec.Label != "":
		filters.Add("label", s.spec.Label)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, listTimeout, fmt.Errorf("no answer within %s", listTimeout))
	defer cancel()
	list, err := engine.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	op := fmt.Sprintf("find the containers of %s on %s", s.spec.Name, engine.Host())
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		return nil, engine.Explain(op, err)
	}
	out := s.pick(list.Items)
	if err := checkFound(out); err != nil {
		return nil, &lockstep.Error{Kind: lockstep.KindInvalid, Op: op, Err: err, Hint: s.hint()}
	}
	return out, nil
}

// hint is what to do where what was found makes no deployment.
func (s *Source) hint() string {
	if s.spec.Project != "" {
		return "look at `docker ps --all --filter label=" + labelProject + "=" + s.spec.Project + "`; is it the project's name (docker compose ls), and is it up?"
	}
	return "look at `docker ps --all --filter label=" + s.spec.Label + "`; the labels " + labelGroup + " and " + labelIndex + " tell containers apart"
}

// pick makes instances of what the engine has. It is pure.
func (s *Source) pick(all []container.Summary) []found {
	var out []found
	switch {
	case s.spec.Project != "":
		out = s.ofProject(all)
	case s.spec.Label != "":
		out = s.ofLabel(all)
	default:
		return s.ofList(all)
	}
	slices.SortFunc(out, func(a, b found) int {
		return cmp.Or(strings.Compare(a.group, b.group), byNumber(a.index, b.index), strings.Compare(a.container, b.container))
	})
	return out
}

// byNumber compares numbers as such, and other texts as texts.
func byNumber(a, b string) int {
	m, err1 := strconv.Atoi(a)
	n, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return strings.Compare(a, b)
	}
	return cmp.Compare(m, n)
}

// ofProject takes the containers of services. A service that is asked for and has
// none is an instance that is not there.
func (s *Source) ofProject(all []container.Summary) []found {
	var out []found
	seen := map[string]bool{}
	for _, c := range all {
		service, number := c.Labels[labelService], c.Labels[labelNumber]
		if strings.EqualFold(c.Labels[labelOneOff], "true") || len(s.spec.Services) > 0 && !slices.Contains(s.spec.Services, service) {
			continue
		}
		seen[service] = true
		out = append(out, found{group: cmp.Or(s.spec.Group, service), id: number, index: number, container: nameOf(c), summary: c})
	}
	for _, service := range s.spec.Services {
		if !seen[service] {
			out = append(out, found{
				group: cmp.Or(s.spec.Group, service), id: "1", index: "1",
				container: s.spec.Project + "-" + service + "-1",
			})
		}
	}
	return out
}

func (s *Source) ofLabel(all []container.Summary) []found {
	slices.SortFunc(all, func(a, b container.Summary) int { return strings.Compare(nameOf(a), nameOf(b)) })
	var out []found
	next := map[string]int{}
	for _, c := range all {
		group := cmp.Or(s.spec.Group, c.Labels[labelGroup], c.Labels[labelService], nameOf(c))
		index := cmp.Or(c.Labels[labelIndex], c.Labels[labelNumber], strconv.Itoa(next[group]))
		next[group]++
		out = append(out, found{group: group, id: nameOf(c), index: index, container: nameOf(c), summary: c})
	}
	return out
}

func (s *Source) ofList(all []container.Summary) []found {
	out := make([]found, len(s.spec.Instances))
	for i, in := range s.spec.Instances {
		out[i] = found{group: in.Group, id: in.ID, index: in.Index, container: in.Container}
		for _, c := range all {
			if nameOf(c) == in.Container || len(in.Container) >= 12 && strings.HasPrefix(c.ID, in.Container) {
				out[i].summary = c
			}
		}
	}
	return out
}

// scriptsOf are the scripts that a container's labels have: one command line each,
// of the job that the label lockstep.job names, else of that of the group's name.
func scriptsOf(f found) map[string]map[lockstep.ScriptKind]string {
	scripts := map[lockstep.ScriptKind]string{}
	for _, kind := range lockstep.ScriptKinds() {
		if command := f.summary.Labels["lockstep."+string(kind)]; command != "" && kind != lockstep.ScriptMetadata {
			scripts[kind] = "#!/bin/sh\n" + command + "\n"
		}
	}
	if len(scripts) == 0 {
		return nil
	}
	return map[string]map[lockstep.ScriptKind]string{cmp.Or(f.summary.Labels[labelJob], f.group): scripts}
}

// nameOf is a container's own name; it may have others, by links.
func nameOf(c container.Summary) string {
	for _, name := range c.Names {
		if name := strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return c.ID
}

// checkFound refuses what is not a deployment: labels are anybody's.
func checkFound(list []found) error {
	if len(list) == 0 {
		return errors.New("there are none")
	}
	var errs []error
	ids, indexes, machines := map[string]string{}, map[string]string{}, map[string]string{}
	for _, f := range list {
		name := f.group + "/" + f.id
		if other, ok := machines[f.summary.ID]; ok && f.summary.ID != "" {
			errs = append(errs, fmt.Errorf("container %s is both %s and %s", nameOf(f.summary), other, name))
		}
		machines[f.summary.ID] = name
		names := map[string]string{"instance group": f.group, "instance id": f.id, "index": f.index}
		for job := range scriptsOf(f) {
			names["job"] = job
		}
		for what, name := range names {
			if err := lockstep.CheckName(what, name); err != nil {
				errs = append(errs, fmt.Errorf("container %s: %w", f.container, err))
			}
		}
		for _, x := range []struct {
			seen      map[string]string
			what, key string
		}{{ids, "instance", f.group + "/" + f.id}, {indexes, "index", f.group + "/" + f.index}} {
			if other, ok := x.seen[x.key]; ok {
				errs = append(errs, fmt.Errorf("containers %s and %s are both %s %s", other, f.container, x.what, x.key))
			}
			x.seen[x.key] = f.container
		}
	}
	return errors.Join(errs...)
}
