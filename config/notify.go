package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
)

// Receiver is somebody who is told what happens. Exactly one of Webhook, Email
// and Chat is set. Secrets are in files, whose absolute paths are here.
type Receiver struct {
	Name string
	// Events are nil for the usual ones.
	Events []lockstep.NoticeKind
	// Deployments are names and patterns; at least one.
	Deployments []string
	Webhook     *Webhook
	Email       *Email
	Chat        *Chat
}

// Webhook is a receiver of signed HTTP requests.
type Webhook struct {
	// URL or URLFile is set.
	URL, URLFile string
	// SecretFiles hold a secret each: one, or two while they are being changed.
	SecretFiles []string
	Way
}

// Chat is a chat room's incoming webhook.
type Chat struct {
	// Style is "slack" or "teams"; TemplateFile, if not "", takes its place.
	Style, TemplateFile string
	URLFile             string
	Way
}

// Way is how a web address may be reached.
type Way struct {
	// Allow are networks that may be reached though they are not public.
	Allow []netip.Prefix
	// CAFile, if not "", holds the authorities of certificates.
	CAFile string
	// PlainHTTP allows http.
	PlainHTTP bool
}

// Email is a receiver of mail.
type Email struct {
	Host string
	// Port is 0 for the usual one.
	Port int
	// Security is "starttls", "tls" or "none".
	Security               string
	Username, PasswordFile string
	From                   string
	To                     []string
	CAFile                 string
}

type fileReceiver struct {
	Name        text                 `key:"name" example:"ops" required:"true" doc:"what it is called, as in lockstep notify test NAME"`
	Events      list[event]          `key:"events" example:"[failed, held, overdue]" doc:"of what it is told: started, succeeded, failed, held, released, overdue, schedule-skipped, approval-asked. The default is all but started and succeeded"`
	Deployments list[pattern]        `key:"deployments" example:"[\"prod-*\"]" doc:"about which deployments: names, or patterns with * and ?. The default is all"`
	Webhook     section[fileWebhook] `key:"webhook" example:"{url: \"https://example.com/hook\", secret_file: hook.secret}" doc:"an HTTP request, signed as in Standard Webhooks"`
	Email       section[fileEmail]   `key:"email" example:"{host: mail.example.com, from: lockstep@example.com, to: [ops@example.com]}" doc:"a mail"`
	Chat        section[fileChat]    `key:"chat" example:"{style: slack, url_file: slack.url}" doc:"a message in a chat room"`
}

type fileWebhook struct {
	URL     text  `key:"url" example:"https://example.com/hook" doc:"where to; or url_file"`
	URLFile path  `key:"url_file" example:"hook.url" doc:"file with the address, if it is a secret"`
	Secret  paths `key:"secret_file" example:"hook.secret" required:"true" doc:"file with the secret that signs, whsec_ and base64; a list of two while they are being changed, the new one first"`
	fileWay
}

type fileChat struct {
	Style    chatStyle `key:"style" example:"slack" doc:"shape of the message: slack or teams. The default is slack"`
	Template path      `key:"template_file" example:"room.tmpl" doc:"Go template over a notice that makes the JSON of the message, in place of style"`
	URLFile  path      `key:"url_file" example:"slack.url" required:"true" doc:"file with the address of the room's incoming webhook; whoever has it can write there"`
	fileWay
}

type fileWay struct {
	Allow     list[network] `key:"allow" example:"[\"10.0.0.0/8\"]" doc:"networks that may be reached though they are private or this machine; public ones always may"`
	CAFile    path          `key:"ca_file" example:"ca.pem" doc:"certificates of the authorities to trust, in place of the machine's"`
	PlainHTTP toggle        `key:"plain_http" example:"true" doc:"allow an http address, which everybody on the way can read. The default is false"`
}

type fileEmail struct {
	Host         text       `key:"host" example:"mail.example.com" required:"true" doc:"the mail server"`
	Port         count      `key:"port" example:"587" doc:"its port. The default is 587 with starttls, 465 with tls, 25 with none"`
	Security     mailSafe   `key:"security" example:"starttls" doc:"starttls, tls or none; with starttls nothing is sent to a server that does not offer it. The default is starttls"`
	Username     text       `key:"username" example:"lockstep" doc:"name to log in with"`
	PasswordFile path       `key:"password_file" example:"mail.password" doc:"file with the password"`
	From         text       `key:"from" example:"lockstep@example.com" required:"true" doc:"address of the sender"`
	To           list[text] `key:"to" example:"[ops@example.com]" required:"true" doc:"addresses of the receivers"`
	CAFile       path       `key:"ca_file" example:"ca.pem" doc:"certificates of the authorities to trust, in place of the machine's"`
}

type event struct{ leaf[lockstep.NoticeKind] }

// events are the kinds that can be asked for.
func events() []lockstep.NoticeKind {
	return slices.DeleteFunc(lockstep.NoticeKinds(), func(k lockstep.NoticeKind) bool { return k == lockstep.NoticeTest })
}

func (e *event) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, events(), func(v lockstep.NoticeKind) { e.put(n, v) })
}

func (*event) schema() schema { return schema{"enum": events()} }

type chatStyle struct{ leaf[string] }

func (s *chatStyle) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, []string{"slack", "teams"}, func(v string) { s.put(n, v) })
}

func (*chatStyle) schema() schema { return schema{"enum": []string{"slack", "teams"}} }

type mailSafe struct{ leaf[string] }

func (s *mailSafe) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, []string{"starttls", "tls", "none"}, func(v string) { s.put(n, v) })
}

func (*mailSafe) schema() schema { return schema{"enum": []string{"starttls", "tls", "none"}} }

// network is a network, or one address.
type network struct{ leaf[netip.Prefix] }

func (w *network) read(d *decoder, n *yaml.Node, c crumb) {
	var t text
	if t.read(d, n, c); !t.set {
		return
	}
	p, err := netip.ParsePrefix(t.value)
	if addr, one := netip.ParseAddr(t.value); one == nil {
		p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		d.problem(t.at, "%s: %q is not a network; write for example: 10.0.0.0/8", c, short(t.value))
		return
	}
	w.put(n, p.Masked())
}

func (*network) schema() schema { return schema{"type": "string"} }

// receivers are those of the section notify, in the file's order.
func (f *fileConfig) receivers(d *decoder) []Receiver {
	var out []Receiver
	names := seen{d: d, what: "receiver"}
	for _, item := range f.Notify.value {
		d.name("receiver", item.value.Name)
		names.add(item.value.Name)
		out = append(out, item.value.build(d, item.at))
	}
	return out
}

func (f fileReceiver) build(d *decoder, at position) Receiver {
	r := Receiver{Name: f.Name.value, Deployments: []string{"*"}}
	for _, e := range f.Events.value {
		r.Events = append(r.Events, e.value)
	}
	if f.Events.set && len(f.Events.value) == 0 {
		d.problem(f.Events.at, "receiver %q is told of nothing; write for example: events: [failed, held, overdue]", r.Name)
	}
	if f.Deployments.set {
		r.Deployments = nil
		for _, p := range f.Deployments.value {
			r.Deployments = append(r.Deployments, p.value)
		}
		if len(f.Deployments.value) == 0 {
			d.problem(f.Deployments.at, "receiver %q is told of no deployment; write for example: deployments: [\"*\"]", r.Name)
		}
	}
	ways := 0
	if f.Webhook.set {
		ways++
		r.Webhook = f.Webhook.value.build(d, f.Webhook.at)
	}
	if f.Email.set {
		ways++
		r.Email = f.Email.value.build(d)
	}
	if f.Chat.set {
		ways++
		c := f.Chat.value
		r.Chat = &Chat{Style: c.Style.or("slack"), TemplateFile: c.Template.value, URLFile: c.URLFile.value, Way: c.fileWay.build()}
	}
	if ways != 1 {
		d.problem(at, "receiver %q must have one of webhook, email and chat, and has %d", r.Name, ways)
	}
	return r
}

func (f fileWebhook) build(d *decoder, at position) *Webhook {
	w := &Webhook{URL: f.URL.value, URLFile: f.URLFile.value, SecretFiles: f.Secret.value, Way: f.fileWay.build()}
	if f.URL.set == f.URLFile.set {
		d.problem(at, "a webhook has either url or url_file; write for example: url: https://example.com/hook")
	}
	if f.URL.set {
		u, err := url.Parse(w.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			d.problem(f.URL.at, "that is not a web address; write for example: url: https://example.com/hook")
		case u.User != nil || u.RawQuery != "":
			d.problem(f.URL.at, "what is secret in an address is not written here; write for example: url_file: hook.url")
		case u.Scheme == "http" && !w.PlainHTTP:
			d.problem(f.URL.at, "everybody on the way can read what goes over http; use https, or write: plain_http: true")
		}
	}
	if len(w.SecretFiles) > 2 {
		d.problem(f.Secret.at, "secret_file has %d secrets; two are enough while they are being changed", len(w.SecretFiles))
	}
	return w
}

func (f fileWay) build() Way {
	w := Way{CAFile: f.CAFile.value, PlainHTTP: f.PlainHTTP.value}
	for _, n := range f.Allow.value {
		if n.set {
			w.Allow = append(w.Allow, n.value)
		}
	}
	return w
}

func (f fileEmail) build(d *decoder) *Email {
	e := &Email{
		Host: f.Host.value, Port: f.Port.value, Security: f.Security.or("starttls"), Username: f.Username.value,
		PasswordFile: f.PasswordFile.value, From: f.From.value, CAFile: f.CAFile.value,
	}
	for _, t := range f.To.value {
		if t.set {
			e.To = append(e.To, t.value)
		}
	}
	switch {
	case f.Port.value > 65535:
		d.problem(f.Port.at, "port %d does not exist; write for example: port: 587", f.Port.value)
	case f.Username.set != f.PasswordFile.set:
		at := f.Username.at
		if !f.Username.set {
			at = f.PasswordFile.at
		}
		d.problem(at, "username and password_file go together")
	case f.Username.set && e.Security == "none":
		d.problem(f.Username.at, "a password is not sent without TLS; write for example: security: starttls")
	case f.To.set && len(f.To.value) == 0:
		d.problem(f.To.at, "there is nobody to send mail to; write for example: to: [ops@example.com]")
	}
	return e
}

func (r Receiver) show() *shown {
	m := mapping().add("name", r.Name)
	if len(r.Events) > 0 {
		var events []string
		for _, e := range r.Events {
			events = append(events, string(e))
		}
		m.add("events", events)
	}
	m.add("deployments", r.Deployments)
	switch {
	case r.Webhook != nil:
		w := r.Webhook
		m.add("webhook", w.Way.show(mapping().addSet("url", w.URL).addSet("url_file", w.URLFile).add("secret_file", w.SecretFiles)))
	case r.Email != nil:
		e := r.Email
		m.add("email", mapping().add("host", e.Host).addSet("port", e.Port).add("security", e.Security).addSet("username", e.Username).
			addSet("password_file", e.PasswordFile).add("from", e.From).add("to", e.To).addSet("ca_file", e.CAFile))
	case r.Chat != nil:
		c := r.Chat
		m.add("chat", c.Way.show(mapping().add("style", c.Style).addSet("template_file", c.TemplateFile).add("url_file", c.URLFile)))
	}
	return m
}

func (w Way) show(m *shown) *shown {
	var allow []string
	for _, p := range w.Allow {
		allow = append(allow, fmt.Sprint(p))
	}
	return m.addSet("allow", allow).addSet("ca_file", w.CAFile).addSet("plain_http", w.PlainHTTP)
}

// defaultRemindEvery is how often it is said again that something is held.
const defaultRemindEvery = time.Hour
