package serve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"lockstep"
	"lockstep/app"
	"lockstep/config"
	"lockstep/journal"
	"lockstep/source"
)

// describedKind is the kind of records that say which deployment a file describes,
// where that is not the one whose key is made of the file.
const describedKind = "described"

// described is such a record.
type described struct {
	File string                 `json:"file"`
	Name string                 `json:"name"`
	Key  lockstep.DeploymentKey `json:"key"`
}

func (d described) record() (journal.Record, error) {
	data, err := json.Marshal(d)
	sum := sha256.Sum256([]byte(d.File + "#" + d.Name)) // a path may be longer than a record's name
	return journal.Record{Kind: describedKind, Name: hex.EncodeToString(sum[:]), Data: data, At: time.Now().UTC()}, err
}

// memory is what a journal knows of deployments that files describe.
type memory struct {
	journal journal.Journal
	options Options
}

// recognized are the configured sources with the keys under which the journal
// knows their deployments: a file may have been renamed, or moved, since. A journal
// that cannot be read keeps nobody from unlocking.
func recognized(ctx context.Context, cfg *config.Config, o Options, j journal.Journal, sources []source.Source) []source.Source {
	m := memory{j, o}
	out := slices.Clone(sources)
	for i, d := range cfg.Deployments {
		if d.BOSH != nil {
			continue
		}
		s, err := m.recognize(ctx, cfg, d, sources[i])
		if err != nil {
			m.tell("cannot look whether the journal knows deployment %s by another file: %v", d.Name, err)
			continue
		}
		out[i] = s
	}
	return out
}

// recognize finds out which deployment of the journal d is, tells if it has moved,
// and gives its source.
func (m memory) recognize(ctx context.Context, cfg *config.Config, d config.Deployment, s source.Source) (source.Source, error) {
	is := describedBy(cfg, d, s)
	known, err := m.known(ctx, is)
	if err != nil || len(known) == 0 {
		return s, err
	}
	k, verdict := m.recognizes(ctx, is, known)
	switch verdict {
	case source.IsUnclear:
		return source.Unclear{Source: s, Why: unclear(is, known)}, nil
	case source.IsOpen:
		m.tell("%s has the identity %s now; until what is locked, at work or half restored is settled it goes on as %s; a server takes the identity when it is restarted", d.Name, d.Identity, k.Key)
	case source.HasMoved:
		m.tell("%s is described by %s now, and was by %s: it is the same deployment, with its runs and backups", d.Name, is.File, k.where())
		if err := m.remember(ctx, is, k.Key); err != nil {
			m.tell("that could not be noted, and is told again: %v", err)
		}
	case source.IsNew, source.IsSame:
	}
	if k.Key == s.Info().Key {
		return s, nil
	}
	return keyedAs(cfg, d, m.options, k.Key)
}

// recognizes is Described.Recognize; places are looked for only where they matter,
// which is once in the life of a file.
func (m memory) recognizes(ctx context.Context, is source.Described, known []knownRun) (knownRun, source.Verdict) {
	plain := make([]source.Known, len(known))
	byFile := is.Identity == "" && slices.ContainsFunc(known, func(k knownRun) bool { return k.File == is.File })
	for i, k := range known {
		if plain[i] = k.Known; !byFile && (is.Identity == "" || k.Open) {
			plain[i].Places = m.places(ctx, k.run)
		}
	}
	k, verdict := is.Recognize(plain, there)
	return knownRun{Known: k}, verdict
}

// knownRun is a known deployment with the newest of its runs.
type knownRun struct {
	source.Known
	run lockstep.RunID
}

// where says where the deployment was described.
func (k knownRun) where() string { return cmp.Or(k.File, string(k.Key)) }

// keyedAs is the source of a deployment with a key that the journal knows.
func keyedAs(cfg *config.Config, d config.Deployment, o Options, key lockstep.DeploymentKey) (source.Source, error) {
	origin := source.FileOf(key)
	d.Identity = ""
	if origin == "" {
		d.Identity = strings.TrimSuffix(strings.TrimPrefix(string(key), "spec:"), "#"+d.Name)
	}
	return describedOf(cfg, d, o, origin)
}

func describedBy(cfg *config.Config, d config.Deployment, s source.Source) source.Described {
	is := source.Described{Name: d.Name, Identity: d.Identity, File: source.Canonical(cfg.Path)}
	if p, ok := s.(source.Placer); ok {
		is.Places = p.Places()
	}
	return is
}

// there reports whether a file is there, or may be: only what is surely gone is
// taken for moved.
func there(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

func (m memory) tell(format string, args ...any) {
	if m.options.Logger != nil {
		m.options.Logger.Warn(fmt.Sprintf(format, args...))
	}
}

// remember has the file describe the deployment of that key from now on.
func (m memory) remember(ctx context.Context, is source.Described, key lockstep.DeploymentKey) error {
	r, err := described{File: is.File, Name: is.Name, Key: key}.record()
	if err != nil {
		return err
	}
	return m.journal.PutRecord(ctx, r)
}

// known are the deployments of the name of is whose runs are in the journal, the
// one with the newest run first.
func (m memory) known(ctx context.Context, is source.Described) ([]knownRun, error) {
	files, err := m.files(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := m.newest(ctx, is, files)
	if err != nil || len(newest) == 0 {
		return nil, err
	}
	held, err := m.journal.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	var known []knownRun
	for _, r := range newest {
		open, err := m.journal.Runs(ctx, lockstep.RunFilter{Key: r.Key, State: lockstep.RunRunning, Limit: 1})
		if err != nil {
			return nil, err
		}
		k := source.Known{Key: r.Key, File: source.FileOf(r.Key)}
		if file, moved := files[r.Key]; moved {
			k.File = file
		} else if describesAnother(files, k) {
			k.File = ""
		}
		k.Open = len(open) > 0 || slices.ContainsFunc(held, func(h lockstep.Hold) bool { return h.Key == r.Key })
		if !k.Open && is.Identity != "" { // a file that gets an identity must not forget it
			half, err := app.LeftHalfDone(ctx, m.journal, r.Key)
			if err != nil {
				return nil, err
			}
			k.Open = half != ""
		}
		known = append(known, knownRun{k, r.ID})
	}
	return known, nil
}

// describesAnother reports whether the file that the key of k is made of has been
// said to describe another deployment of that name since.
func describesAnother(files map[lockstep.DeploymentKey]string, k source.Known) bool {
	_, name, _ := cutKey(k.Key)
	for key, file := range files {
		if _, of, _ := cutKey(key); file == k.File && of == name && key != k.Key {
			return true
		}
	}
	return false
}

// cutKey cuts a key before the deployment's name.
func cutKey(key lockstep.DeploymentKey) (made, name string, ok bool) {
	i := strings.LastIndexByte(string(key), '#')
	if i < 0 {
		return "", "", false
	}
	return string(key[:i]), string(key[i+1:]), true
}

// recent is how many runs of a name are looked at for their keys.
const recent = 200

// newest is the newest run of each key of that name which is made of a file or an
// identity. However long ago: the key of the file itself, and those that have moved,
// are among them.
func (m memory) newest(ctx context.Context, is source.Described, files map[lockstep.DeploymentKey]string) ([]lockstep.RunSummary, error) {
	name := is.Name
	runs, err := m.journal.Runs(ctx, lockstep.RunFilter{Deployment: name, Limit: recent})
	if err != nil {
		return nil, err
	}
	old := []lockstep.DeploymentKey{source.Key(is.Identity, is.File, name), source.Key("", is.File, name)}
	for key := range files {
		if _, of, _ := cutKey(key); of == name {
			old = append(old, key)
		}
	}
	for _, key := range old {
		last, err := m.journal.Runs(ctx, lockstep.RunFilter{Key: key, Limit: 1})
		if err != nil {
			return nil, err
		}
		runs = append(runs, last...)
	}
	slices.SortStableFunc(runs, func(a, b lockstep.RunSummary) int { return strings.Compare(string(b.ID), string(a.ID)) })
	held, err := m.journal.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	lost, err := m.journal.Lost(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, h := range held { // an old run may hold it
		if h.Deployment == name {
			runs = append(runs, lockstep.RunSummary{ID: h.Run, Key: h.Key})
		}
	}
	for _, l := range lost {
		if l.Deployment == name {
			runs = append(runs, lockstep.RunSummary{ID: l.Run, Key: l.Key})
		}
	}
	var out []lockstep.RunSummary
	for _, r := range runs {
		known := slices.ContainsFunc(out, func(o lockstep.RunSummary) bool { return o.Key == r.Key })
		if !known && strings.HasPrefix(string(r.Key), "spec:") {
			out = append(out, r)
		}
	}
	return out, nil
}

// files are where deployments are described that have moved, as it was said last.
func (m memory) files(ctx context.Context) (map[lockstep.DeploymentKey]string, error) {
	records, err := m.journal.Records(ctx, describedKind)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b journal.Record) int { return a.At.Compare(b.At) })
	files := map[lockstep.DeploymentKey]string{}
	for _, r := range records {
		var d described
		if err := json.Unmarshal(r.Data, &d); err != nil {
			return nil, fmt.Errorf("read record %s %s: %w", r.Kind, r.Name, err)
		}
		for key, file := range files { // a file describes one deployment of a name
			if file == d.File && strings.HasSuffix(string(key), "#"+d.Name) {
				delete(files, key)
			}
		}
		files[d.Key] = d.File
	}
	return files, nil
}

// places are where the instances of a run were, as far as it can still be read.
func (m memory) places(ctx context.Context, run lockstep.RunID) []string {
	events, _ := m.journal.Events(ctx, run, 0)
	if len(events) == 0 {
		return nil
	}
	opened, ok := events[0].Data.(lockstep.RunOpened)
	if !ok {
		return nil
	}
	s, err := reopen(opened.Reach, m.options)
	if err != nil {
		return nil
	}
	if p, ok := s.(source.Placer); ok {
		return p.Places()
	}
	return nil
}

// unclear asks which deployment it is.
func unclear(is source.Described, known []knownRun) error {
	var where []string
	for _, k := range known {
		where = append(where, k.where())
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("use deployment %s of %s", is.Name, is.File),
		Err: fmt.Errorf("the journal knows a deployment of that name from %s, with other instances", strings.Join(where, " and from ")),
		Hint: fmt.Sprintf("if it is another one, give it a name of its own: `identity: NAME` in its configuration; if it is the same one and all its instances are new: `lockstep config moved %s`",
			is.Name),
	}
}

// Moved says that a deployment of the configuration is the one that the journal
// knows from another file, from, which may be "" where the journal knows one alone.
// It returns that deployment's key and where it was described.
func Moved(ctx context.Context, o Options, name, from string) (key lockstep.DeploymentKey, was string, err error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return "", "", err
	}
	d, err := cfg.Deployment(name)
	if err != nil {
		return "", "", err
	}
	refused := func(why, hint string) error {
		return &lockstep.Error{Kind: lockstep.KindRefused, Op: fmt.Sprintf("note that deployment %s has moved", name), Err: errors.New(why), Hint: hint}
	}
	switch {
	case d.BOSH != nil:
		return "", "", refused("it is known by its director, not by a file", "")
	case d.Identity != "":
		return "", "", refused("it has an identity, by which it is known wherever its file lies", "remove `identity`, if that is not what is meant")
	}
	j, err := openJournal(ctx, cfg, o)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	m := memory{j, o}
	is := source.Described{Name: name, File: source.Canonical(cfg.Path)}
	known, err := m.known(ctx, is)
	if err != nil {
		return "", "", err
	}
	var where []string
	known = slices.DeleteFunc(known, func(k knownRun) bool {
		where = append(where, k.where())
		return from != "" && k.where() != from && k.where() != source.Canonical(from)
	})
	switch {
	case len(where) == 0:
		return "", "", refused("the journal knows no deployment of that name", "there is nothing to say: it is a new one")
	case len(known) != 1:
		return "", "", refused("the journal knows it from "+strings.Join(where, " and from "), "name one of these: --from FILE")
	}
	return known[0].Key, known[0].where(), m.remember(ctx, is, known[0].Key)
}
