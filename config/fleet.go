package config

import (
	"net"
	"time"
)

// Fleet says that runs are done by workers, which take them from Temporal.
type Fleet struct {
	Temporal Temporal
	// Heartbeat is after how long without a sign of life a worker counts as gone; at
	// least a second.
	Heartbeat time.Duration
}

// Temporal is where it is and how it is asked.
type Temporal struct {
	// Address is HOST:PORT.
	Address   string
	Namespace string
	// TLS is nil for a connection that is not encrypted.
	TLS *TemporalTLS
	// APIKeyFile is absolute, or "" for none; it goes with TLS.
	APIKeyFile string
}

// TemporalTLS names files, absolute, each of which may be "".
type TemporalTLS struct {
	CAFile, CertFile, KeyFile string
	// ServerName is what the certificate must be for, "" for the host of the address.
	ServerName string
}

const (
	defaultNamespace = "default"
	defaultHeartbeat = 5 * time.Second
	minHeartbeat     = time.Second
)

type fileFleet struct {
	Temporal  section[fileTemporal] `key:"temporal" example:"{address: \"temporal.example.com:7233\", namespace: lockstep}" required:"true" doc:"the Temporal that servers give runs to, and workers take them from"`
	Heartbeat span                  `key:"heartbeat_timeout" example:"5s" doc:"a worker that was silent for this long counts as gone, and another one of its zone settles its runs. The default is 5s"`
}

type fileTemporal struct {
	Address   text                     `key:"address" example:"temporal.example.com:7233" required:"true" doc:"host and port of its frontend"`
	Namespace text                     `key:"namespace" example:"lockstep" doc:"its namespace, which must be there. The default is default"`
	TLS       section[fileTemporalTLS] `key:"tls" example:"{ca_file: temporal-ca.pem, cert_file: lockstep.pem, key_file: lockstep.key}" doc:"encrypt the connection; {} takes the authorities of this host"`
	APIKey    path                     `key:"api_key_file" example:"temporal.api-key" doc:"file with an API key; it needs tls"`
}

type fileTemporalTLS struct {
	CAFile     path `key:"ca_file" example:"temporal-ca.pem" doc:"authorities of its certificate, as PEM. The default is those of this host"`
	CertFile   path `key:"cert_file" example:"lockstep.pem" doc:"certificate to log in with, as PEM"`
	KeyFile    path `key:"key_file" example:"lockstep.key" doc:"its key, as PEM"`
	ServerName text `key:"server_name" example:"temporal.example.com" doc:"whom its certificate must be for. The default is the host of address"`
}

// fleet is what the file says of workers, nil where it says nothing.
func (f *fileConfig) fleet(d *decoder, s State) *Fleet {
	if !f.Fleet.set {
		return nil
	}
	t := f.Fleet.value.Temporal.value
	out := &Fleet{
		Heartbeat: f.Fleet.value.Heartbeat.or(defaultHeartbeat),
		Temporal:  Temporal{Address: t.Address.value, Namespace: t.Namespace.or(defaultNamespace), APIKeyFile: t.APIKey.value},
	}
	if s.Postgres == nil {
		d.problem(f.Fleet.at, "fleet needs a journal that servers and workers share; write for example: state: {postgres: {url: \"postgres://db.example.com/lockstep\"}}")
	}
	if _, _, err := net.SplitHostPort(t.Address.value); err != nil && t.Address.set {
		d.problem(t.Address.at, "address %q is not a host and a port; write for example: address: temporal.example.com:7233", short(t.Address.value))
	}
	if out.Heartbeat < minHeartbeat {
		d.problem(f.Fleet.value.Heartbeat.at, "heartbeat_timeout is shorter than %s, which a busy worker could miss; write for example: heartbeat_timeout: 5s", minHeartbeat)
	}
	if t.TLS.set {
		x := t.TLS.value
		out.Temporal.TLS = &TemporalTLS{CAFile: x.CAFile.value, CertFile: x.CertFile.value, KeyFile: x.KeyFile.value, ServerName: x.ServerName.value}
		if x.CertFile.set != x.KeyFile.set {
			d.problem(t.TLS.at, "tls has one of cert_file and key_file; give both, or neither")
		}
	} else if t.APIKey.set {
		d.problem(t.APIKey.at, "api_key_file would be sent unencrypted; write for example: tls: {}")
	}
	return out
}

func (f *Fleet) show() *shown {
	t := f.Temporal
	temporal := mapping().add("address", t.Address).add("namespace", t.Namespace)
	if x := t.TLS; x != nil {
		temporal.add("tls", mapping().addSet("ca_file", x.CAFile).addSet("cert_file", x.CertFile).addSet("key_file", x.KeyFile).addSet("server_name", x.ServerName))
	}
	temporal.addSet("api_key_file", t.APIKeyFile)
	return mapping().add("temporal", temporal).add("heartbeat_timeout", f.Heartbeat)
}

// files are those that must be there before Temporal can be asked.
func (f *Fleet) files() []namedFile {
	if f == nil {
		return nil
	}
	out := named("api_key_file", f.Temporal.APIKeyFile)
	if x := f.Temporal.TLS; x != nil {
		out = append(out, append(named("tls.ca_file", x.CAFile), append(named("tls.cert_file", x.CertFile), named("tls.key_file", x.KeyFile)...)...)...)
	}
	return out
}
