package discover

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/internal/oldyaml"
)

// Bounds of what a metadata script may say. Its output is bounded by probe.sh
// to one byte more than maxMetadata, so that too much can be told from just
// enough.
const (
	maxMetadata = 1 << 20
	maxNodes    = 20_000 // each use of an alias counts again
	maxDepth    = 32
	maxTimeout  = 30 * 24 * time.Hour
)

// said is what a job's metadata script said.
type said struct {
	lockstep.Metadata
	skip bool
	// passed is what was passed over, for people; only a lenient reader passes
	// over anything.
	passed  []string
	lenient bool
}

// parseMetadata reads the YAML of a metadata script. Nothing at all is fine,
// and keys that are not known are ignored. Lenient, it takes all that the
// original bbr takes: of a key that is there twice the last one counts, and
// what only we read cannot be wrong.
func parseMetadata(data []byte, lenient bool) (said, error) {
	if len(data) > maxMetadata {
		return said{}, fmt.Errorf("it is longer than %d MiB", maxMetadata>>20)
	}
	var doc yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return said{}, nil
	}
	if err != nil {
		return said{}, err
	}
	root := doc.Content[0]
	if err := new(bounds).check(root, 0); err != nil {
		return said{}, err
	}
	out := said{lenient: lenient}
	if lenient {
		for _, key := range oldyaml.LastCounts(root) {
			out.pass("line %d: key %q is there again later, which counts", key.Line, key.Value)
		}
	}
	pairs, err := pairsOf(root)
	if err != nil {
		return said{}, err
	}
	for _, p := range pairs {
		err := out.read(p.key, p.value)
		if err == nil {
			err = out.readOurs(p.key, p.value)
			if err != nil && lenient {
				out.pass("line %d: %s: %v", p.value.Line, p.key, err)
				err = nil
			}
		}
		if err != nil {
			return said{}, fmt.Errorf("line %d: %s: %w", p.value.Line, p.key, err)
		}
	}
	return out, nil
}

func (s *said) pass(format string, args ...any) {
	s.passed = append(s.passed, fmt.Sprintf(format, args...))
}

// read takes over one key of the original's.
func (s *said) read(key string, value *yaml.Node) (err error) {
	switch key {
	case "backup_name":
		s.DiscontinuedBackupName, err = notEmpty(value)
	case "restore_name":
		s.DiscontinuedRestoreName, err = notEmpty(value)
	case "backup_should_be_locked_before":
		s.BackupBefore, err = s.refsOf(value)
	case "restore_should_be_locked_before":
		s.RestoreBefore, err = s.refsOf(value)
	case "skip_bbr_scripts":
		s.skip, err = flagOf(value)
	}
	return err
}

// readOurs takes over one key that only we know.
func (s *said) readOurs(key string, value *yaml.Node) (err error) {
	switch key {
	case "may_be_empty":
		s.MayBeEmpty, err = flagOf(value)
	case "restore_parallel":
		s.RestoreParallel, err = flagOf(value)
	case "script_timeout":
		s.ScriptTimeout, err = durationOf(value)
	}
	return err
}

// bounds counts nodes, so that aliases cannot multiply without end.
type bounds struct{ nodes int }

func (b *bounds) check(n *yaml.Node, depth int) error {
	if b.nodes++; b.nodes > maxNodes {
		return fmt.Errorf("it has more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return fmt.Errorf("line %d: values nest too deeply", n.Line)
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return b.check(n.Alias, depth+1)
	}
	for _, c := range n.Content {
		if err := b.check(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

type pair struct {
	key   string
	value *yaml.Node
}

// pairsOf are the keys and values of a mapping, in order, those that are merged
// into it last; an empty value is an empty mapping.
func pairsOf(n *yaml.Node) ([]pair, error) {
	if n = follow(n); isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: this is not a mapping (key: value)", n.Line)
	}
	var pairs, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), follow(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key is not a plain name", key.Line)
		}
		if key.ShortTag() == "!!merge" {
			more, err := mergesOf(value)
			if err != nil {
				return nil, err
			}
			merged = append(merged, more...)
			continue
		}
		if slices.ContainsFunc(pairs, func(p pair) bool { return p.key == key.Value }) {
			return nil, fmt.Errorf("line %d: key %q is there twice", key.Line, key.Value)
		}
		pairs = append(pairs, pair{key.Value, value})
	}
	for _, m := range merged {
		if !slices.ContainsFunc(pairs, func(p pair) bool { return p.key == m.key }) {
			pairs = append(pairs, m)
		}
	}
	return pairs, nil
}

// mergesOf are the pairs of a mapping that is merged, or of a list of them, of
// which the first with a key counts.
func mergesOf(n *yaml.Node) ([]pair, error) {
	if n.Kind != yaml.SequenceNode {
		return pairsOf(n)
	}
	var all []pair
	for _, item := range n.Content {
		more, err := pairsOf(item)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func notEmpty(n *yaml.Node) (bool, error) {
	s, err := textOf(n)
	return s != "", err
}

// textOf is a scalar as text; null is "".
func textOf(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", errors.New("this is not text")
	}
	if isNull(n) {
		return "", nil
	}
	return n.Value, nil
}

func flagOf(n *yaml.Node) (bool, error) {
	if n.Kind != yaml.ScalarNode {
		return false, errors.New("this is not true or false")
	}
	truth, ok := oldyaml.Bool(n)
	if !ok && !isNull(n) {
		return false, fmt.Errorf("%q is not true or false", n.Value)
	}
	return truth, nil
}

func durationOf(n *yaml.Node) (time.Duration, error) {
	s, err := textOf(n)
	if err != nil || s == "" {
		return 0, err
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxTimeout {
		return 0, fmt.Errorf("%q is not a duration with a unit, as 90s or 1h, up to %s", s, maxTimeout)
	}
	return d, nil
}

// refsOf is a list of {job_name, release}. No job has a name that is not one, so
// that such an entry means as little as one that names a job that is not there.
func (s *said) refsOf(n *yaml.Node) ([]lockstep.JobRef, error) {
	if isNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, errors.New("this is not a list")
	}
	var refs []lockstep.JobRef
	for _, item := range n.Content {
		ref, err := refOf(follow(item))
		if err != nil {
			return nil, err
		}
		if err := errors.Join(lockstep.CheckName("job_name", ref.Job), lockstep.CheckName("release", ref.Release)); err != nil {
			if !s.lenient {
				return nil, err
			}
			s.pass("line %d: no job is called so: %v", item.Line, err)
			continue
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func refOf(n *yaml.Node) (lockstep.JobRef, error) {
	var ref lockstep.JobRef
	pairs, err := pairsOf(n)
	if err != nil {
		return ref, err
	}
	for _, p := range pairs {
		var to *string
		switch p.key {
		case "job_name":
			to = &ref.Job
		case "release":
			to = &ref.Release
		default:
			continue
		}
		if *to, err = textOf(p.value); err != nil {
			return ref, fmt.Errorf("%s: %w", p.key, err)
		}
	}
	if ref.Job == "" || ref.Release == "" {
		return ref, errors.New("both job name and release should be specified for should be locked before")
	}
	return ref, nil
}
