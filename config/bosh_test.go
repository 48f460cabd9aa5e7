package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const boshText = `
repository: {dir: x}
deployments:
  cf:
    bosh: {}
  blog:
    bosh:
      director: 10.0.0.7
      deployment: wordpress
      client: backup
      client_secret_file: blog.secret
      ca_cert_file: ca.pem
      all_proxy: ssh+socks5://ops@jumpbox:22?private-key=keys/a b
    script_timeout: 2h
    jobs: {web: {lock_before: [{job: db, release: mysql}]}}
  wiki:
    bosh: {director: "https://d:1", client: c, client_secret: "${WIKI}", ca_cert: "-----BEGIN CERTIFICATE-----\n", all_proxy: "${JUMP}"}
`

func TestBOSHIsReadWithTheVariablesThatItsUsersKnow(t *testing.T) {
	t.Parallel()
	env := environment("HOME", "/home/op", "BOSH_ENVIRONMENT", "https://10.0.0.6:25555", "BOSH_CLIENT", "ops",
		"BOSH_CLIENT_SECRET", "geheim", "BOSH_CA_CERT", "~/ca.pem", "BOSH_ALL_PROXY", "socks5://u:geheim@h:1")
	c, err := Parse("/etc/x/x.yaml", []byte(boshText), env)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*BOSH{
		"cf": {
			Director: "https://10.0.0.6:25555", Deployment: "cf", Client: "ops", SecretEnv: "BOSH_CLIENT_SECRET",
			CACertFile: "/home/op/ca.pem", ProxyEnv: "BOSH_ALL_PROXY",
		},
		"blog": {
			Director: "10.0.0.7", Deployment: "wordpress", Client: "backup", SecretFile: "/etc/x/blog.secret",
			CACertFile: "/etc/x/ca.pem", Proxy: "ssh+socks5://ops@jumpbox:22?private-key=/etc/x/keys/a+b",
		},
		"wiki": {
			Director: "https://d:1", Deployment: "wiki", Client: "c", SecretEnv: "WIKI",
			CACert: "-----BEGIN CERTIFICATE-----\n", ProxyEnv: "JUMP",
		},
	}
	for _, d := range c.Deployments {
		if diff := cmp.Diff(want[d.Name], d.BOSH); diff != "" || d.Source() != "bosh" {
			t.Errorf("%s (-want +got):\n%s", d.Name, diff)
		}
	}
	shown := Show(c)
	if strings.Contains(shown, "geheim") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	again, err := Parse("/etc/x/x.yaml", []byte(shown), environment("HOME", "/home/op"))
	if err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("(-read +shown and read):\n%s\n%s", diff, shown)
	}
}

func TestACertificateInTheEnvironmentIsTakenAsText(t *testing.T) {
	t.Parallel()
	c, err := Parse("/x.yaml", []byte("{repository: {dir: x}, deployments: {cf: {bosh: {director: d, client: c}}}}"),
		environment("HOME", "/", "BOSH_CA_CERT", "-----BEGIN CERTIFICATE-----"))
	if err != nil {
		t.Fatal(err)
	}
	if b := c.Deployments[0].BOSH; b.CACert != "-----BEGIN CERTIFICATE-----" || b.CACertFile != "" {
		t.Errorf("%+v", b)
	}
}

// TestAPasswordInAnAddressIsNotQuoted: what is wrong with an address is said
// without what stands before its host.
//
//fault:password-in-an-address a director's, proxy's or server's address with a password in it is wrong | the message names the address without the password, and so does the diagnostic file
func TestAPasswordInAnAddressIsNotQuoted(t *testing.T) {
	t.Parallel()
	const secret = "s3cret-of-the-director"
	for _, address := range []string{"https://admin:" + secret + "@10.0.0.6", "http://admin:" + secret + "@h", "admin:" + secret + "@h:25555", "https://a:" + secret + "#x@ h"} {
		_, err := Parse("/x.yaml", fmt.Appendf(nil, "{repository: {dir: x}, deployments: {cf: {bosh: {director: %q, client: c, all_proxy: %q}}}}", address, address),
			environment("HOME", "/"))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
