package config

import (
	"net"
	"net/url"
	slashed "path"
	"strings"

	"go.yaml.in/yaml/v3"
)

// S3 says which bucket a repository is in. Secrets are not in here: they come
// from the environment, CredentialsFile or the role of the machine.
type S3 struct {
	// Endpoint is a host, with or without a port. Insecure is plain HTTP.
	Endpoint string
	Insecure bool
	Bucket   string
	// Prefix is a folder in the bucket, "" for all of it.
	Prefix string
	// Region is "" where the service says it.
	Region string
	// PathStyle: the bucket stands in the path, not in front of the host.
	PathStyle bool
	// CredentialsFile is absolute, or "" for ~/.aws/credentials.
	CredentialsFile string
	// Lock is nil where the service is not to keep anything from being removed.
	Lock *ObjectLock
}

// folderOrBucket is a folder's path, or s3: and the URL of a bucket.
type folderOrBucket struct{ leaf[string] }

const bucketScheme = "s3:"

func (l *folderOrBucket) read(d *decoder, n *yaml.Node, c crumb) {
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, bucketScheme) {
		var t text
		t.read(d, n, c)
		l.leaf = t.leaf
		return
	}
	var p path
	p.read(d, n, c)
	l.leaf = p.leaf
}

func (*folderOrBucket) schema() schema { return (*path)(nil).schema() }

const bucketExample = "location: s3:https://s3.example.com/bucket/folder"

// bucket is the bucket that the location names, or nil.
func (f *fileRestic) bucket(d *decoder) *S3 {
	rest, ok := strings.CutPrefix(f.Location.value, bucketScheme)
	if !ok {
		for key, v := range map[string]struct {
			set bool
			at  position
		}{"region": {f.Region.set, f.Region.at}, "path_style": {f.PathStyle.set, f.PathStyle.at}, "credentials_file": {f.CredentialsFile.set, f.CredentialsFile.at}, "object_lock": {f.ObjectLock.set, f.ObjectLock.at}} {
			if v.set {
				d.problem(v.at, "%s is for a bucket, and location is a folder; write for example: %s", key, bucketExample)
			}
		}
		return nil
	}
	if !strings.Contains(rest, "://") {
		rest = "https://" + rest
	}
	u, err := url.Parse(rest)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		d.problem(f.Location.at, "location must be the address of a bucket, without a name or password in it; write for example: %s", bucketExample)
		return nil
	}
	bucket, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if bucket == "" {
		d.problem(f.Location.at, "location names no bucket; write for example: %s", bucketExample)
		return nil
	}
	// A certificate for *.HOST does not hold for a name with one more dot in it.
	inHost := strings.HasSuffix(u.Hostname(), ".amazonaws.com") && (u.Scheme == "http" || !strings.Contains(bucket, "."))
	pathStyle := f.PathStyle.or(!inHost)
	if !pathStyle && net.ParseIP(u.Hostname()) != nil {
		d.problem(f.PathStyle.at, "the bucket can stand in front of a name only, and %s is an address; write for example: path_style: true", u.Hostname())
	}
	return &S3{
		Endpoint: u.Host, Insecure: u.Scheme == "http", Bucket: bucket, Prefix: prefix, Region: f.Region.value,
		PathStyle: pathStyle, CredentialsFile: f.CredentialsFile.value, Lock: f.objectLock(d),
	}
}

func (s *S3) show(m *shown) {
	scheme := "https://"
	if s.Insecure {
		scheme = "http://"
	}
	m.add("location", bucketScheme+scheme+slashed.Join(s.Endpoint, s.Bucket, s.Prefix)).addSet("region", s.Region).add("path_style", s.PathStyle).addSet("credentials_file", s.CredentialsFile)
	if s.Lock != nil {
		m.add("object_lock", s.Lock.show())
	}
}
