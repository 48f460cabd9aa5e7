package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhereARepositoryIs(t *testing.T) {
	for location, want := range map[string]Restic{
		"./repo":                               {Location: "/etc/x/repo"},
		"s3:https://s3.example.com/bucket/a/b": {S3: &S3{Endpoint: "s3.example.com", Bucket: "bucket", Prefix: "a/b", PathStyle: true}},
		"s3:http://127.0.0.1:9000/bucket":      {S3: &S3{Endpoint: "127.0.0.1:9000", Insecure: true, Bucket: "bucket", PathStyle: true}},
		"s3:s3.eu-central-1.amazonaws.com/b.c": {S3: &S3{Endpoint: "s3.eu-central-1.amazonaws.com", Bucket: "b.c", PathStyle: true}},
		"s3:s3.eu-central-1.amazonaws.com/b/p": {S3: &S3{Endpoint: "s3.eu-central-1.amazonaws.com", Bucket: "b", Prefix: "p"}},
	} {
		text := "repository: {restic: {location: \"" + location + "\", password_command: [pass, show]}}\nstate_dir: s\ndeployments: {}"
		c, err := Parse("/etc/x/x.yaml", []byte(text), testEnv)
		if err != nil {
			t.Errorf("%s: %v", location, err)
			continue
		}
		want.PasswordCommand = []string{"pass", "show"}
		if diff := cmp.Diff(&want, c.Repository.Restic); diff != "" {
			t.Errorf("%s (-want +got):\n%s", location, diff)
		}
		again, err := Parse("/etc/x/x.yaml", []byte(Show(c)), testEnv)
		if err != nil {
			t.Errorf("%s, shown: %v", location, err)
			continue
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Errorf("%s, shown and read again (-want +got):\n%s", location, diff)
		}
	}
}

func TestWhereNoRepositoryIs(t *testing.T) {
	for location, want := range map[string]string{
		"s3:https://s3.example.com":                                    "names no bucket",
		"s3:http://10.0.0.1:9000/b, path_style: false":                 "10.0.0.1 is an address",
		"s3:https://key:secret@example.com/b":                          "must be the address of a bucket",
		"s3:ftp://example.com/b":                                       "must be the address of a bucket",
		"./repo, region: eu-central-1":                                 "region is for a bucket",
		"./repo, credentials_file: x":                                  "credentials_file is for a bucket",
		"./repo, object_lock: {mode: governance, days: 30}":            "object_lock is for a bucket",
		"s3:https://h/b, object_lock: {mode: governance}":              "days",
		"s3:https://h/b, object_lock: {days: 3}":                       "mode",
		"s3:https://h/b, object_lock: {mode: none, days: 3}":           "governance or compliance",
		"s3:https://h/b, object_lock: {mode: compliance, days: 40000}": "more than 36500",
		"'s3:https://example.com/b?secret=hidden'":                     "must be the address of a bucket",
	} {
		_, err := Parse("/x.yaml", []byte("repository: {restic: {password_file: p, location: "+location+"}}\nstate_dir: s\ndeployments: {}"), testEnv)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", location, err)
		}
	}
}

// TestObjectLockIsShown: what is read of object lock is what is shown of it.
func TestObjectLockIsShown(t *testing.T) {
	for text, want := range map[string]ObjectLock{
		"{mode: governance, days: 30}": {Days: 30},
		"{mode: compliance, days: 1}":  {Compliance: true, Days: 1},
	} {
		c, err := Parse("/x.yaml", []byte("repository: {restic: {password_file: p, location: 's3:https://h/b', object_lock: "+text+"}}\nstate_dir: s\ndeployments: {}"), testEnv)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Repository.Restic.S3.Lock; got == nil || *got != want {
			t.Errorf("%s is read as %+v", text, got)
		}
		again, err := Parse("/x.yaml", []byte(Show(c)), testEnv)
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Errorf("shown and read again: %v\n%s", err, diff)
		}
	}
}

// TestEncryptIsShown: what is read of encryption is what is shown of it.
func TestEncryptIsShown(t *testing.T) {
	for text, want := range map[string]string{
		"{dir: b, encrypt: {recipients: [age1x, age1y], identity_file: k}}":         "",
		"{dir: b, encrypt: {identity_file: k}}":                                     "new backups would not be encrypted",
		"{dir: b, encrypt: {recipients: [], identity_file: k}}":                     "",
		"{dir: b, encrypt: {}}":                                                     "neither for whom nor what opens it",
		"{dir: b, encrypt: {recipients: [ssh-ed25519]}}":                            "is not a recipient",
		"{dir: b, encrypt: {recipients: [AGE-SECRET-KEY-14HCC06]}}":                 "belongs into identity_file",
		"{dir: b, encrypt: {recipients: [age-secret-key-14hcc06]}}":                 "belongs into identity_file",
		"{dir: b, encrypt: {recipients: ['key: AGE-SECRET-KEY-14HCC06']}}":          "is not a recipient",
		"{restic: {location: b, password_file: p}, encrypt: {recipients: [age1x]}}": "encrypt is for dir",
	} {
		c, err := Parse("/x.yaml", []byte("repository: "+text+"\ncopies: {usb: "+text+"}\nstate_dir: s\ndeployments: {}"), testEnv)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "14HCC06") {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || c.Repository.Encrypt == nil || c.Copies["usb"].Encrypt.IdentityFile != "/k" {
			t.Fatalf("%s: %v, %+v", text, err, c)
		}
		again, err := Parse("/x.yaml", []byte(Show(c)), testEnv)
		if diff := cmp.Diff(c, again); err != nil || diff != "" {
			t.Errorf("shown and read again: %v\n%s", err, diff)
		}
	}
}

// TestAnIdentityAloneOfACopy: what a copy is encrypted for, it may not be; it is only read.
func TestAnIdentityAloneOfACopy(t *testing.T) {
	c, err := Parse("/x.yaml", []byte("repository: {dir: a}\ncopies: {usb: {dir: b, encrypt: {identity_file: k}}}\nstate_dir: s\ndeployments: {}"), testEnv)
	if err != nil || c.Copies["usb"].Encrypt.IdentityFile != "/k" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestKeepAfterABackup: the rules of a deployment are read, and shown as they were.
func TestKeepAfterABackup(t *testing.T) {
	text := "repository: {dir: b}\nstate_dir: s\ndeployments: {shop: {local: {}, instance_groups: [{name: db, instances: [{id: x}]}], keep: %s}}"
	c, err := Parse("/x.yaml", []byte(strings.Replace(text, "%s", "{daily: 7, tags: [before-upgrade]}", 1)), testEnv)
	if err != nil {
		t.Fatal(err)
	}
	if k := c.Deployments[0].Keep; k == nil || k.Daily != 7 || len(k.Tags) != 1 {
		t.Errorf("%+v", k)
	}
	again, err := Parse("/x.yaml", []byte(Show(c)), testEnv)
	if diff := cmp.Diff(c, again); err != nil || diff != "" {
		t.Errorf("shown and read again: %v\n%s", err, diff)
	}
	for bad, want := range map[string]string{"{}": "does not say which", "{tags: [a/b c]}": "before-upgrade", "{daily: 0}": "above 0"} {
		if _, err := Parse("/x.yaml", []byte(strings.Replace(text, "%s", bad, 1)), testEnv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
