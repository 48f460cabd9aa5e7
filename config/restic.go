package config

import (
	"errors"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/internal/redact"
)

// Restic says where a repository in restic's format is and what opens it.
// Secrets are not in here, only where they are found.
type Restic struct {
	// Location is a folder, absolute; "" where S3 is set.
	Location string
	S3       *S3
	// Exactly one is set: the file, the environment variable or the command
	// that gives the password.
	PasswordFile, PasswordEnv string
	PasswordCommand           []string
}

type fileRestic struct {
	Location        folderOrBucket          `key:"location" example:"./backups" required:"true" doc:"folder of the repository, or a bucket as s3:https://HOST/BUCKET/FOLDER"`
	Region          text                    `key:"region" example:"eu-central-1" doc:"region of the bucket. The default is what the service says"`
	PathStyle       toggle                  `key:"path_style" example:"true" doc:"the bucket stands in the path, not in front of the host. The default is true but for amazonaws.com and a bucket without a dot in its name"`
	CredentialsFile path                    `key:"credentials_file" example:"./s3.credentials" doc:"in the form of ~/.aws/credentials, which is the default. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY come before it, the role of the machine after the default"`
	ObjectLock      section[fileObjectLock] `key:"object_lock" example:"{mode: governance, days: 30}" doc:"has the service keep what backups need from being removed; the bucket must have been made with object lock"`
	PasswordFile    path                    `key:"password_file" example:"repository.password" doc:"file with the password. Without it nobody can read the repository: keep a copy elsewhere"`
	Password        reference               `key:"password" example:"${LOCKSTEP_PASSWORD}" doc:"environment variable with the password, in place of a file"`
	PasswordCommand list[text]              `key:"password_command" example:"[pass, show, lockstep]" doc:"command that prints the password, in place of a file"`
}

func (f *fileRepository) build(d *decoder, main bool) Repository {
	r := Repository{Dir: f.Dir.value, Encrypt: f.encrypt(d, main)}
	if f.Restic.set {
		r.Restic = f.Restic.value.build(d, f.Restic.at)
	}
	if f.Restic.set && f.Dir.set {
		d.problem(f.Restic.at, "repository has both dir and restic; keep one")
	}
	for _, key := range f.Keys.value {
		r.TrustedKeys = append(r.TrustedKeys, key.value)
	}
	return r
}

func (r Repository) show() *shown {
	m := mapping()
	if r.Restic != nil {
		m.add("restic", r.Restic.show())
	} else {
		m.add("dir", r.Dir)
	}
	if r.Encrypt != nil {
		m.add("encrypt", r.Encrypt.show())
	}
	return m.addSet("trusted_keys", r.TrustedKeys)
}

func (f *fileRestic) build(d *decoder, at position) *Restic {
	r := &Restic{S3: f.bucket(d), PasswordFile: f.PasswordFile.value, PasswordEnv: f.Password.value.variable}
	if r.S3 == nil {
		r.Location = f.Location.value
	}
	for _, word := range f.PasswordCommand.value {
		r.PasswordCommand = append(r.PasswordCommand, word.value)
	}
	if f.Password.set && r.PasswordEnv == "" {
		d.problem(f.Password.at, "a password does not belong into this file; write for example: password_file: repository.password, or password: ${LOCKSTEP_PASSWORD}")
	}
	ways := 0
	for _, set := range []bool{f.PasswordFile.set, f.Password.set, f.PasswordCommand.set} {
		if set {
			ways++
		}
	}
	switch {
	case ways == 0:
		d.problem(at, "repository.restic does not say what its password is; write for example: password_file: repository.password")
	case ways > 1:
		d.problem(at, "repository.restic says more than once where its password is; keep one of password_file, password and password_command")
	case f.PasswordCommand.set && len(r.PasswordCommand) == 0:
		d.problem(f.PasswordCommand.at, "password_command is empty; write for example: password_command: [pass, show, lockstep]")
	}
	return r
}

func (r *Restic) show() *shown {
	m := mapping()
	if r.S3 != nil {
		r.S3.show(m)
	} else {
		m.add("location", r.Location)
	}
	m.addSet("password_file", r.PasswordFile)
	return m.addSet("password", variable(r.PasswordEnv)).addSet("password_command", r.PasswordCommand)
}

// fileCopy is another repository, into which backups are copied.
type fileCopy struct {
	Dir     path                 `key:"dir" example:"./copies" required:"true" unless:"restic" doc:"folder of plain tar files, one folder a backup"`
	Encrypt section[fileEncrypt] `key:"encrypt" example:"{recipients: [age1…], identity_file: backups.age-key}" doc:"of dir: encrypt copies with age, and open those that are"`
	Restic  section[fileRestic]  `key:"restic" example:"{location: \"s3:https://s3.example.com/bucket/folder\", password_file: offsite.password}" doc:"in place of dir: encrypted, deduplicated, in the format of restic"`
}

// MainRepository is the name that the key repository goes by among the others.
const MainRepository = "repository"

func (f *fileConfig) copies(d *decoder) map[string]Repository {
	if !f.Copies.set {
		return nil
	}
	all := map[string]Repository{}
	for _, r := range f.Copies.value {
		d.name("repository", r.name)
		if r.name.value == MainRepository {
			d.problem(r.name.at, "%q is what the key repository goes by; write for example: offsite", MainRepository)
		}
		one := fileRepository{Dir: r.value.Dir, Restic: r.value.Restic, Encrypt: r.value.Encrypt}
		all[r.name.value] = one.build(d, false)
	}
	return all
}

// identityFileVariable names the file that opens what is encrypted in a folder that is
// given by its location alone.
const identityFileVariable = "LOCKSTEP_IDENTITY_FILE"

// passwordVariables are those of stock restic: they open a repository that is given by
// its location alone.
const (
	passwordFileVariable = "RESTIC_PASSWORD_FILE"
	passwordVariable     = "RESTIC_PASSWORD"
)

// AtLocation is the repository at a location that a person typed: a folder of plain
// files as a path with a slash in it, or restic:FOLDER, or s3:https://HOST/BUCKET/FOLDER.
// The password of the last two is where stock restic looks for it. ok is false for
// what is not a location.
func AtLocation(location string, env func(string) string) (r Repository, ok bool, err error) {
	folder, isRestic := strings.CutPrefix(location, "restic:")
	isBucket := strings.HasPrefix(location, bucketScheme)
	if !isRestic && !isBucket && !strings.Contains(location, "/") {
		return r, false, nil
	}
	if isBucket {
		d := &decoder{file: "--to", env: env}
		f := fileRestic{}
		f.Location.put(&yaml.Node{Line: 1, Column: 1}, location)
		r.Restic = &Restic{S3: f.bucket(d)}
		if len(d.problems) > 0 {
			return r, true, &lockstep.Error{Kind: lockstep.KindUsage, Op: "read location " + redact.Text(location), Err: errors.New(d.problems[0].Message)}
		}
	} else if folder, err = filepath.Abs(folder); err != nil || folder == "/" {
		return r, true, &lockstep.Error{Kind: lockstep.KindUsage, Op: "read location " + location, Err: errors.Join(errors.New("it names no folder of its own"), err)}
	}
	switch {
	case isRestic:
		r.Restic = &Restic{Location: folder}
	case !isBucket:
		r.Dir = folder
		if file := env(identityFileVariable); file != "" {
			r.Encrypt = &Encrypt{IdentityFile: file}
		}
		return r, true, nil
	}
	r.Restic.PasswordFile = env(passwordFileVariable)
	if r.Restic.PasswordFile == "" {
		r.Restic.PasswordEnv = passwordVariable
	}
	return r, true, nil
}
