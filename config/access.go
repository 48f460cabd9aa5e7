package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep/access"
)

// Access says who may do what to a server, beside its tokens. The zero value is
// tokens alone.
type Access struct {
	// RestoreApproval are patterns of deployments whose restores need a second
	// person.
	RestoreApproval []string
	// Certificates are who is known by a client certificate.
	Certificates []access.CertificateRule
	// OIDC is the identity provider; nil is none.
	OIDC *OIDC
	// SessionIdle and SessionLife bound logins to the pages; they are positive.
	SessionIdle, SessionLife time.Duration
	// PepperFile is the key of the hashes of tokens; absolute, "" is the one of
	// the state folder.
	PepperFile string
}

// OIDC is an identity provider.
type OIDC struct {
	Issuer, ClientID string
	// ClientSecretFile is absolute; "" means no secret.
	ClientSecretFile       string
	NameClaim, GroupsClaim string
	// Groups are what the provider's groups may do.
	Groups map[string][]access.Grant
}

type fileAccess struct {
	RestoreApproval list[pattern]                  `key:"restore_approval" example:"[\"prod-*\"]" doc:"deployments whose restores a second person has to approve: names, or patterns with * and ?"`
	Certificates    list[section[fileCertificate]] `key:"client_certificates" example:"[{name: \"spiffe://example.com/ci\", roles: [\"backup-operator@shop\"]}]" doc:"who is known by a client certificate of server.tls.client_ca_file"`
	OIDC            section[fileOIDC]              `key:"oidc" example:"{issuer: \"https://id.example.com\", client_id: lockstep, groups: {ops: {roles: [backup-operator]}}}" doc:"identity provider whose ID tokens are taken as bearer tokens, and for logging in with a browser"`
	SessionIdle     span                           `key:"session_idle" example:"30m" doc:"a login to the pages ends after this long without a request. The default is 30m"`
	SessionLife     span                           `key:"session_life" example:"12h" doc:"and after this long in any case. The default is 12h"`
	PepperFile      path                           `key:"pepper_file" example:"pepper" doc:"64 hexadecimal digits, the key under which tokens are hashed; made if it is not there. The default is pepper in state_dir"`
}

type fileCertificate struct {
	Name  text        `key:"name" example:"\"spiffe://example.com/ci\"" required:"true" doc:"a URI, DNS name or email address of the certificate, or its common name if it has none of them"`
	As    text        `key:"as" example:"ci" doc:"the name it goes by. The default is name"`
	Roles list[grant] `key:"roles" example:"[\"backup-operator@shop\"]" required:"true" doc:"what it may do: ROLE or ROLE@PATTERN of deployments"`
}

type fileOIDC struct {
	Issuer           text             `key:"issuer" example:"https://id.example.com" required:"true" doc:"URL of the provider, as it names itself"`
	ClientID         text             `key:"client_id" example:"lockstep" required:"true" doc:"what its tokens must be made out to"`
	ClientSecretFile path             `key:"client_secret_file" example:"oidc-secret" doc:"file with the secret of the client, if it has one"`
	NameClaim        text             `key:"name_claim" example:"sub" doc:"the claim that names people; one that they cannot change themselves. The default is sub"`
	GroupsClaim      text             `key:"groups_claim" example:"groups" doc:"the claim with their groups. The default is groups"`
	Groups           table[fileRoles] `key:"groups" example:"{ops: {roles: [backup-operator]}}" required:"true" doc:"what the provider's groups may do; others may do nothing"`
}

type fileRoles struct {
	Roles list[grant] `key:"roles" example:"[\"backup-operator@shop\", viewer]" required:"true" doc:"ROLE or ROLE@PATTERN of deployments"`
}

// grant is ROLE or ROLE@PATTERN.
type grant struct{ leaf[access.Grant] }

func (g *grant) read(d *decoder, n *yaml.Node, c crumb) {
	var t text
	if t.read(d, n, c); !t.set {
		return
	}
	value, err := access.ParseGrant(t.value)
	if err != nil {
		d.problem(t.at, "%s: %v; write for example: backup-operator@shop-*", c, err)
		return
	}
	g.put(n, value)
}

func (*grant) schema() schema { return schema{"type": "string"} }

// pattern is a pattern of deployments' names.
type pattern struct{ leaf[string] }

func (p *pattern) read(d *decoder, n *yaml.Node, c crumb) {
	var t text
	if t.read(d, n, c); !t.set {
		return
	}
	if err := (access.Grant{Role: access.RoleViewer, Deployments: t.value}).Check(); err != nil {
		d.problem(t.at, "%s: %v", c, err)
		return
	}
	p.put(n, t.value)
}

func (*pattern) schema() schema { return schema{"type": "string"} }

func (f fileAccess) build(d *decoder) Access {
	a := Access{
		SessionIdle: f.SessionIdle.or(access.SessionIdle), SessionLife: f.SessionLife.or(access.SessionLife), PepperFile: f.PepperFile.value,
	}
	if a.SessionIdle > a.SessionLife {
		at := f.SessionIdle.at
		if !f.SessionIdle.set {
			at = f.SessionLife.at
		}
		d.problem(at, "session_idle is longer than session_life")
	}
	for _, p := range f.RestoreApproval.value {
		a.RestoreApproval = append(a.RestoreApproval, p.value)
	}
	names := seen{d: d, what: "client certificate"}
	for _, x := range f.Certificates.value {
		names.add(x.value.Name)
		a.Certificates = append(a.Certificates, access.CertificateRule{
			Name: x.value.Name.value, Principal: x.value.As.value, Grants: grantsOf(d, x.value.Roles),
		})
	}
	if f.OIDC.set {
		a.OIDC = f.OIDC.value.build(d)
	}
	return a
}

func (f fileOIDC) build(d *decoder) *OIDC {
	o := &OIDC{
		Issuer: f.Issuer.value, ClientID: f.ClientID.value, ClientSecretFile: f.ClientSecretFile.value,
		NameClaim: f.NameClaim.or("sub"), GroupsClaim: f.GroupsClaim.or("groups"), Groups: map[string][]access.Grant{},
	}
	if u, err := url.Parse(o.Issuer); f.Issuer.set && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		d.problem(f.Issuer.at, "issuer %q is not a URL; write for example: issuer: https://id.example.com", short(o.Issuer))
	}
	for _, row := range f.Groups.value {
		o.Groups[row.name.value] = grantsOf(d, row.value.Roles)
	}
	return o
}

func grantsOf(d *decoder, roles list[grant]) []access.Grant {
	if roles.set && len(roles.value) == 0 {
		d.problem(roles.at, "no role is given; write for example: [viewer]")
	}
	var grants []access.Grant
	for _, g := range roles.value {
		grants = append(grants, g.value)
	}
	return grants
}

func (a Access) show() *shown {
	var certificates []*shown
	for _, c := range a.Certificates {
		certificates = append(certificates, mapping().add("name", c.Name).addSet("as", c.Principal).add("roles", rolesOf(c.Grants)))
	}
	out := mapping().
		addSet("restore_approval", a.RestoreApproval).
		addSet("client_certificates", certificates)
	if o := a.OIDC; o != nil {
		groups := mapping()
		for _, name := range sortedKeys(o.Groups) {
			groups.add(name, mapping().add("roles", rolesOf(o.Groups[name])))
		}
		out.add("oidc", mapping().add("issuer", o.Issuer).add("client_id", o.ClientID).addSet("client_secret_file", o.ClientSecretFile).
			add("name_claim", o.NameClaim).add("groups_claim", o.GroupsClaim).add("groups", groups))
	}
	return out.add("session_idle", a.SessionIdle).add("session_life", a.SessionLife).addSet("pepper_file", a.PepperFile)
}

func rolesOf(grants []access.Grant) []string {
	var roles []string
	for _, g := range grants {
		roles = append(roles, g.String())
	}
	return roles
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, strings.Compare)
	return keys
}
