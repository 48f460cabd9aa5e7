package bbr

import (
	"context"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"lockstep"
	"lockstep/discover"
	"lockstep/source"
)

// job is one command line at work: on one deployment, or on all of a director.
type job struct {
	Program
	mode   mode
	action action
	order  order
	log    *logger

	mu      sync.Mutex
	opened  []func(context.Context) // each lets go of the runs of an orchestrator
	cancels []func(by string)       // one for each run
	leaving bool
	exit    chan int // the exit code after a signal
}

func (p Program) newJob(m mode, sub subcommand, o order) *job {
	return &job{
		Program: p, mode: m, action: sub.action, order: o,
		log:  newLogger(p.Stdout, p.Now, o.mode.truth["debug"]),
		exit: make(chan int, 2),
	}
}

// task is what a job does to one deployment.
type task struct {
	*job
	name     string
	log      *logger
	source   *shared
	groups   *grouped // nil in director mode
	manifest func(context.Context, string) (string, error)
}

// result is how a task ended.
type result struct {
	faults []fault
	code   int
}

// failed is the result of an error from outside of a run.
func failed(err error) result { return result{[]fault{faultOf(err)}, lockstep.ExitError} }

// one does the job on one deployment and tells how it went.
func (j *job) one(ctx context.Context) int {
	t, err := j.only(ctx)
	if err != nil {
		return j.report([]fault{faultOf(err)}, "", lockstep.ExitError)
	}
	r := t.perform(ctx)
	if j.action == actionCheck {
		j.tellCheck(t.name, r)
	}
	if len(r.faults) == 0 {
		return 0
	}
	footer := ""
	if advised(j.action, r.faults) {
		footer = adviceBackup
	}
	return j.report(r.faults, footer, r.code)
}

// only is the task of a job on one deployment.
func (j *job) only(ctx context.Context) (*task, error) {
	if j.mode.director() {
		host := j.order.mode.text["host"]
		t := &task{job: j, name: hostName(host), log: j.log}
		src, err := j.Setup.Host(HostAccess{
			Name: t.name, Host: host, User: j.order.mode.text["username"],
			KeyFile: j.order.mode.text["private-key-path"], Getenv: j.getenv, Log: j.log.tagged,
		})
		t.source = &shared{Source: src}
		return t, err
	}
	d, err := j.connect(ctx, j.log)
	if err != nil {
		return nil, err
	}
	return j.taskOn(d, j.order.mode.text["deployment"], j.log)
}

// connect connects to the director.
func (j *job) connect(ctx context.Context, log *logger) (Director, error) {
	v := j.order.mode.text
	return j.Setup.Director(ctx, DirectorAccess{
		Target: v["target"], User: v["username"], Password: v["password"], CACert: v["ca-cert"],
		Getenv: j.getenv, Log: log.tagged, Debug: log.debug,
	})
}

func (j *job) taskOn(d Director, name string, log *logger) (*task, error) {
	t := &task{job: j, name: name, log: log}
	t.groups = &grouped{
		version: j.Version, warn: t.warn,
		clean: j.action == actionBackupCleanup || j.action == actionRestoreCleanup,
		debug: log.debug,
	}
	src, err := d.Deployment(name, t.groups)
	t.source = &shared{Source: src, before: t.groups.forget}
	if j.order.own.truth["with-manifest"] {
		t.manifest = d.Manifest
	}
	return t, err
}

func (t *task) warn(message string) { t.log.log(warn, message) }

// hostName is a host without scheme and port.
func hostName(host string) string {
	if u, err := url.Parse(host); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	name, _, _ := strings.Cut(host, ":")
	return name
}

// tellCheck prints whether a backup is possible.
func (j *job) tellCheck(name string, r result) {
	whom := fmt.Sprintf("[%s] Deployment '%s'", j.clock(), name)
	if j.mode.director() {
		whom = "Director"
	}
	if len(r.faults) == 0 {
		fmt.Fprintf(j.Stdout, "%s can be backed up.\n", whom)
		return
	}
	fmt.Fprintf(j.Stdout, "%s cannot be backed up.\n%s\n", whom, indented(listed(r.faults)))
}

func (j *job) clock() string { return j.Now().UTC().Format("15:04:05") }

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// policy is that of the original, with what the command line asks for.
func (j *job) policy() lockstep.Policy {
	p := lockstep.BBRPolicy()
	p.LockFree = j.order.own.truth["unsafe-lock-free"]
	lease, err := leaseFrom(j.getenv)
	if err != nil {
		j.log.log(warn, err.Error())
	}
	setLease(&p, lease)
	if p.NoHelper, err = helperRefused(j.getenv); err != nil {
		j.log.log(warn, err.Error())
	}
	return p
}

// options are what the task's orchestrator is opened with.
func (t *task) options() (Options, error) {
	o := Options{
		Sources: []source.Source{t.source}, Manifest: t.manifest, Policy: t.policy(),
		Version: t.Version, Getenv: t.getenv, Warn: t.warn, Provable: provable,
	}
	o.Discover = t.discover
	if t.groups != nil {
		o.Discover = t.groups.discover
	}
	path := t.order.own.text["artifact-path"]
	switch t.action {
	case actionBackup:
		o.Save, o.SaveName = t.Dir, path
		if path != "" {
			o.Save = t.inDir(path)
		} else if o.Save == "" {
			o.Save = "."
		}
	case actionRestore:
		if _, err := os.Stat(t.inDir(path)); err != nil {
			return o, fmt.Errorf("failed opening the directory: %w", named(err, path))
		}
		o.Read = t.inDir(path)
	case actionCheck, actionBackupCleanup, actionRestoreCleanup:
	}
	return o, nil
}

// discover asks the one machine of director mode.
func (t *task) discover(ctx context.Context, resolved *source.Resolved, o discover.Options) (lockstep.Deployment, []lockstep.Noted, error) {
	o.Paths, o.Lenient = t.log.debug, true
	return discover.Discover(ctx, resolved, o)
}

func (p Program) inDir(path string) string {
	if filepath.IsAbs(path) || p.Dir == "" {
		return path
	}
	return filepath.Join(p.Dir, path)
}

// named is the error with the path as it was given.
func named(err error, path string) error {
	if e, ok := err.(*fs.PathError); ok {
		return &fs.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// request is what the task asks the service for.
func (t *task) request(o Orchestrator) lockstep.Request {
	req := lockstep.Request{Deployment: t.source.Info().Name, By: "bbr"}
	switch t.action {
	case actionCheck:
		req.Operation = lockstep.OperationCheck
	case actionBackup:
		req.Operation = lockstep.OperationBackup
	case actionRestore:
		req.Operation, req.Backup, req.Proven = lockstep.OperationRestore, o.Backup, true
	case actionBackupCleanup:
		req.Operation = lockstep.OperationCleanup
	case actionRestoreCleanup:
		req.Operation, req.ForRestore = lockstep.OperationCleanup, true
	}
	return req
}
