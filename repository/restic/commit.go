package restic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// Commit implements repository.Repository: one snapshot of all that is staged
// and the manifest. What it leaves behind after that is only tidied up.
func (r *Repository) Commit(ctx context.Context, manifest lockstep.Backup) error {
	manifest = manifest.Manifest()
	id := manifest.ID
	if repository.CheckID(id) != nil {
		return notFound(id)
	}
	v, err := r.Vault(ctx)
	if err != nil {
		return trouble("commit backup", id, err)
	}
	r.stages.Lock()
	defer r.stages.Unlock()
	if f, ok, err := r.committed(ctx, v, id); err != nil || ok {
		err = errors.Join(err, r.committedAs(ctx, v, f, manifest, ok))
		if err == nil {
			_ = r.unstage(ctx, v, id) // who committed it may have died before
		}
		return err
	}
	if err := r.staging(ctx, v, "commit", id); err != nil {
		return err
	}
	release, err := v.Use(ctx)
	if err != nil {
		return trouble("commit backup", id, err)
	}
	defer release()
	if err := r.commit(ctx, v, manifest); err != nil {
		return trouble("commit backup", id, err)
	}
	faultpoint.Hit("restic.commit.after")
	_ = r.unstage(ctx, v, id) // the backup exists
	return nil
}

// committedAs refuses another manifest than the one that is there.
func (r *Repository) committedAs(ctx context.Context, v *vault.Vault, f found, manifest lockstep.Backup, ok bool) error {
	if !ok {
		return nil
	}
	was, err := r.manifest(ctx, v, f)
	if err != nil {
		return err
	}
	is, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if !bytes.Equal(bytes.TrimSpace(was), is) {
		return &lockstep.Error{
			Kind: lockstep.KindConflict, Op: fmt.Sprintf("commit backup %q", manifest.ID),
			Err: errors.New("it is committed with another manifest"),
		}
	}
	return nil
}

func (r *Repository) commit(ctx context.Context, v *vault.Vault, manifest lockstep.Backup) error {
	staged, err := r.stagedArtifacts(ctx, v, manifest)
	if err != nil {
		return err
	}
	c, err := newCutter(v.ChunkKey())
	if err != nil {
		return err
	}
	b, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	session := v.Session()
	file, err := saveFile(ctx, session, c, manifestFile, append(b, '\n'))
	if err != nil {
		return err
	}
	own, root := []format.Node{file}, []format.Node{}
	for _, a := range manifest.Artifacts {
		own, root = append(own, staged[a.Name].own), append(root, staged[a.Name].files)
	}
	ownTree, err := session.SaveTree(ctx, sorted(own...))
	if err != nil {
		return err
	}
	tree, err := session.SaveTree(ctx, sorted(append(root, folderNode(ownFolder, ownTree))...))
	if err == nil {
		err = session.Flush(ctx)
	}
	if err != nil {
		return err
	}
	faultpoint.Hit("restic.commit.before")
	return v.CommitSnapshot(ctx, newSnapshot(tree, "/"+manifest.Deployment, manifest.Deployment, append([]string{tagBackup, tagID + string(manifest.ID)}, manifest.Tags...)...))
}

// stagedArtifact is one that is staged: the nodes that the backup takes over.
type stagedArtifact struct {
	about      artifactJSON
	own, files format.Node
}

// stagedArtifacts are those that a manifest names, or it is refused.
func (r *Repository) stagedArtifacts(ctx context.Context, v *vault.Vault, manifest lockstep.Backup) (map[string]stagedArtifact, error) {
	snapshots, err := r.stagedOf(ctx, v, manifest.ID)
	if err != nil {
		return nil, err
	}
	newest := map[string]found{}
	for _, f := range snapshots {
		newest[f.tagged(tagArtifact)] = f
	}
	staged := map[string]stagedArtifact{}
	var failed error
	err = repository.CheckManifest(manifest, func(name string) (string, bool) {
		f, ok := newest[name]
		if !ok {
			return "", false
		}
		a, err := loadStaged(ctx, v, f, name)
		failed = errors.Join(failed, err)
		staged[name] = a
		return a.about.Digest, err == nil
	})
	if failed != nil {
		return nil, failed
	}
	return staged, err
}

func loadStaged(ctx context.Context, v *vault.Vault, f found, name string) (stagedArtifact, error) {
	var a stagedArtifact
	var err error
	if a.own, err = child(ctx, v, *f.Tree, ownFolder, name); err != nil {
		return a, err
	}
	if a.files, err = child(ctx, v, *f.Tree, name); err != nil {
		return a, err
	}
	a.about, err = loadAbout(ctx, v, a.own, name)
	return a, err
}

// loadAbout reads artifact.json in the folder that own is.
func loadAbout(ctx context.Context, v *vault.Vault, own format.Node, name string) (artifactJSON, error) {
	var about artifactJSON
	if own.Subtree == nil {
		return about, fmt.Errorf("%w: %s is not a folder", repository.ErrCorrupt, own.Name)
	}
	node, err := child(ctx, v, *own.Subtree, artifactFile)
	if err != nil {
		return about, err
	}
	b, err := small(ctx, v, node)
	if err == nil {
		err = json.Unmarshal(b, &about)
	}
	switch {
	case err != nil:
	case about.Version != artifactVersion:
		err = newer(artifactFile, about.Version)
	case about.Name != name || about.Bytes < 0:
		err = fmt.Errorf("%w: %s is not of artifact %q", repository.ErrCorrupt, artifactFile, name)
	}
	return about, err
}

func newer(what string, version int) error {
	return &lockstep.Error{
		Kind: lockstep.KindInvalid, Op: "read " + what,
		Err:  fmt.Errorf("its format has version %d, this program knows version %d", version, artifactVersion),
		Hint: "use the program that wrote the backup, or a later one",
	}
}
