package config

import "strings"

// Encrypt says for whom a repository of plain folders is encrypted, in the format of age.
type Encrypt struct {
	// Recipients are as age prints them; without any, new backups are not encrypted.
	Recipients []string
	// IdentityFile is absolute, or "" where nothing encrypted is opened.
	IdentityFile string
}

type fileEncrypt struct {
	Recipients   list[text] `key:"recipients" example:"[age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq]" doc:"for whom new backups are encrypted, as age-keygen prints them. With an empty list they are not"`
	IdentityFile path       `key:"identity_file" example:"backups.age-key" doc:"file of age-keygen whose identity opens what is encrypted: for verify, restore, and all that looks into backups. Backing up does without"`
}

const encryptExample = "encrypt: {recipients: [age1…], identity_file: backups.age-key}"

// encrypt reads it. In the main repository an identity alone is refused: who thinks that it
// encrypts would find out that it does not from a thief.
func (f *fileRepository) encrypt(d *decoder, main bool) *Encrypt {
	if !f.Encrypt.set {
		return nil
	}
	if f.Restic.set {
		d.problem(f.Encrypt.at, "encrypt is for dir: in the format of restic all is encrypted, with the password")
	}
	x := f.Encrypt.value
	e := &Encrypt{IdentityFile: x.IdentityFile.value}
	for _, r := range x.Recipients.value {
		// What stands there is not quoted: it may be a secret.
		switch {
		case strings.HasPrefix(strings.ToUpper(r.value), "AGE-SECRET-KEY"):
			d.problem(r.at, "that is an identity, a secret; it belongs into identity_file, and here what `age-keygen -y` prints of it: age1…")
		case !strings.HasPrefix(r.value, "age1"):
			d.problem(r.at, "this is not a recipient of age; write for example: age1…, which age-keygen prints")
		}
		e.Recipients = append(e.Recipients, r.value)
	}
	if len(e.Recipients) == 0 && e.IdentityFile == "" {
		d.problem(f.Encrypt.at, "encrypt says neither for whom nor what opens it; write for example: %s", encryptExample)
	}
	if main && len(e.Recipients) == 0 && e.IdentityFile != "" && !x.Recipients.set {
		d.problem(f.Encrypt.at, "encrypt does not say for whom: new backups would not be encrypted. Add recipients, as `age-keygen -y` prints them of the identity, or `recipients: []` where that is meant")
	}
	return e
}

func (e *Encrypt) show() *shown {
	return mapping().add("recipients", e.Recipients).addSet("identity_file", e.IdentityFile)
}
