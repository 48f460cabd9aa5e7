package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/internal/oldyaml"
	"lockstep/repository"
)

// maxMetadata bounds a metadata file that is read as a whole.
const maxMetadata = 64 << 20

// bbrMetadata is BBR's metadata file, those of old versions included.
type bbrMetadata struct {
	Instances []struct {
		Name      string        `yaml:"name"`
		Index     yamlText      `yaml:"index"`
		Artifacts []bbrArtifact `yaml:"artifacts"`
	} `yaml:"instances"`
	Custom   []bbrArtifact `yaml:"custom_artifacts"`
	Activity *struct {
		Start  yamlText `yaml:"start_time"`
		Finish yamlText `yaml:"finish_time"`
	} `yaml:"backup_activity"`
}

type bbrArtifact struct {
	Name      string            `yaml:"name"`
	Checksums map[string]string `yaml:"checksums"`
}

// yamlText is a scalar as it was written: old files have index: 0.
type yamlText string

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *yamlText) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: not a scalar", n.Line)
	}
	*t = yamlText(n.Value)
	return nil
}

// foreign is a backup that another program wrote: a manifest made of what its
// metadata file and its folder's name tell, and its checksums.
func (f *folder) foreign() (lockstep.Backup, map[string]map[string]string, error) {
	if !f.renamed && !idPattern.MatchString(string(f.id)) {
		return lockstep.Backup{}, nil, notFound(f.id)
	}
	b := lockstep.Backup{
		V: 1, ID: f.id, Deployment: deploymentOf(f.id), Data: lockstep.DataUnproven, Artifacts: []lockstep.Artifact{},
		Reasons: []string{"it was written by another program and has no manifest that vouches for it"},
	}
	b.StartedAt = startOf(f.id)
	meta, err := f.metadata()
	if err != nil {
		return b, nil, err
	}
	if meta.Activity != nil && meta.Activity.Finish == "" {
		b.Reasons = append(b.Reasons, "it records no time at which it was finished")
	}
	if meta.Activity != nil {
		b.FinishedAt = meta.finished()
	}
	sums := map[string]map[string]string{}
	for _, a := range meta.artifacts() {
		if err := f.measure(&a.Artifact); err != nil {
			return b, nil, err
		}
		a.Entries, a.Checksums = len(a.sums), repository.ChecksumsDigest(a.sums)
		// The original writes one artifact down for each group whose instances
		// are all restored from it, and takes what it wrote: all must be true.
		if other, twice := sums[a.Name]; twice {
			if !maps.Equal(other, a.sums) {
				return b, nil, fmt.Errorf("%w: %s names artifact %q twice, with other checksums", repository.ErrCorrupt, metadataFile, a.Name)
			}
			continue
		}
		sums[a.Name] = a.sums
		b.Artifacts = append(b.Artifacts, a.Artifact)
	}
	return b, sums, nil
}

func (f *folder) metadata() (*bbrMetadata, error) {
	file, size, err := f.open(metadataFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > maxMetadata {
		return nil, fmt.Errorf("%w: %s has more than %d MiB", repository.ErrCorrupt, metadataFile, maxMetadata>>20)
	}
	meta := &bbrMetadata{}
	if err := oldyaml.Decode(file, meta); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, metadataFile, err)
	}
	return meta, nil
}

// finished is the recorded time, if its zone is one that is known here.
func (m *bbrMetadata) finished() time.Time {
	t, err := time.ParseInLocation(bbrTime, string(m.Activity.Finish), time.Local)
	if err != nil {
		return time.Time{}
	}
	if name, offset := t.Zone(); offset == 0 && name != "UTC" && name != "GMT" && t.Location() != time.Local {
		return time.Time{} // an abbreviation that Go makes up a zone for
	}
	return t.UTC()
}

type foreignArtifact struct {
	lockstep.Artifact
	sums map[string]string
}

func (m *bbrMetadata) artifacts() []foreignArtifact {
	var all []foreignArtifact
	for _, i := range m.Instances {
		for _, a := range i.Artifacts {
			slot := lockstep.Slot{Group: i.Name, Index: string(i.Index), Job: a.Name}
			name := slot.Group + "-" + slot.Index + "-" + slot.Job
			all = append(all, foreignArtifact{lockstep.Artifact{Slot: slot, Name: name}, a.Checksums})
		}
	}
	for _, a := range m.Custom {
		all = append(all, foreignArtifact{lockstep.Artifact{Name: a.Name, Custom: true}, a.Checksums})
	}
	return all
}

// measure finds the length of an artifact's tar. One that is not there has
// length 0: BBR writes none for a custom artifact that holds nothing.
func (f *folder) measure(a *lockstep.Artifact) error {
	if err := lockstep.CheckName("artifact", a.Name); err != nil {
		return fmt.Errorf("%w: %s: %w", repository.ErrCorrupt, metadataFile, err)
	}
	info, err := f.stat(a.Name + tarSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		a.Bytes = info.Size()
	}
	return err
}

// CheckForOthers implements repository.ForOthers: BBR restores by the metadata file,
// which must be the one that was committed. It is said once for each backup, of its
// first artifact.
func (r *Repository) CheckForOthers(ctx context.Context, id lockstep.BackupID, name string) error {
	dir, err := r.folder(id)
	if err != nil {
		return err
	}
	defer dir.Close()
	if s, err := dir.is(stateCommitted, stateForeign); err != nil || s == stateForeign {
		return err // of a foreign backup it is the only record
	}
	if err := dir.checkMetadata(ctx, name); err != nil {
		return r.trouble("read checksums of backup", id, err)
	}
	return nil
}

// Checksums implements repository.Foreign.
func (r *Repository) Checksums(_ context.Context, id lockstep.BackupID, name string) (map[string]string, error) {
	dir, err := r.folder(id)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if _, err := dir.is(stateForeign); err != nil {
		return nil, err
	}
	_, all, err := dir.foreign()
	if err != nil {
		return nil, r.trouble("read checksums of backup", id, err)
	}
	sums, ok := all[name]
	if !ok {
		return nil, noArtifact(id, name)
	}
	if sums == nil {
		sums = map[string]string{}
	}
	return sums, nil
}
