// Package email sends notices as mail, through a server that it reaches over
// TLS unless it is told otherwise.
package email

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"lockstep"
	"lockstep/internal/egress"
	"lockstep/notify"
)

// Security says how the way to the mail server is kept from others.
type Security string

// The choices. With StartTLS a server that does not offer it is not used.
const (
	StartTLS Security = "starttls"
	TLS      Security = "tls"
	Plain    Security = "none"
)

// Config is a receiver.
type Config struct {
	Host string
	// Port is the usual one of Security where it is 0: 587, 465 or 25.
	Port     int
	Security Security
	// Username, if not "", logs in with Password; never without TLS.
	Username, Password string
	From               string
	To                 []string
	Roots              *x509.CertPool
	Guard              egress.Guard
}

// Sender implements notify.Sender.
type Sender struct{ cfg Config }

var _ notify.Sender = (*Sender)(nil)

// New checks the configuration.
func New(cfg Config) (*Sender, error) {
	switch cfg.Security {
	case StartTLS, TLS:
	case Plain:
		if cfg.Username != "" {
			return nil, errors.New("a password is not sent without TLS; write security: starttls")
		}
	default:
		return nil, fmt.Errorf("%q is not a kind of mail security; write starttls, tls or none", cfg.Security)
	}
	s := &Sender{cfg}
	if _, err := s.message(notify.Notice{Title: "x"}); err != nil {
		return nil, err
	}
	_, err := s.client(func(net.Conn) {})
	return s, err
}

func (s *Sender) port() int {
	switch {
	case s.cfg.Port != 0:
		return s.cfg.Port
	case s.cfg.Security == TLS:
		return 465
	case s.cfg.Security == StartTLS:
		return 587
	}
	return 25
}

// client is one connection's worth of settings; opened is told of the
// connection, which the mail library leaves open after some failures.
func (s *Sender) client(opened func(net.Conn)) (*mail.Client, error) {
	conf := &tls.Config{ServerName: s.cfg.Host, MinVersion: tls.VersionTLS12, RootCAs: s.cfg.Roots}
	options := []mail.Option{
		mail.WithPort(s.port()), mail.WithTimeout(egress.Timeout), mail.WithTLSConfig(conf),
		mail.WithDialContextFunc(s.dial(conf, opened)),
	}
	switch s.cfg.Security {
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case TLS:
		options = append(options, mail.WithSSL())
	case Plain:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	if s.cfg.Username != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.cfg.Username), mail.WithPassword(s.cfg.Password))
	}
	return mail.NewClient(s.cfg.Host, options...)
}

func (s *Sender) dial(conf *tls.Config, opened func(net.Conn)) mail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := s.cfg.Guard.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		opened(conn)
		if s.cfg.Security != TLS {
			return conn, nil
		}
		secured := tls.Client(conn, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secured, nil
	}
}

// sendFor bounds one message.
const sendFor = 30 * time.Second

// Send implements notify.Sender.
func (s *Sender) Send(ctx context.Context, n notify.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendFor)
	defer cancel()
	m, err := s.message(n)
	if err != nil {
		return err
	}
	c, err := s.client(func(conn net.Conn) {
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	})
	if err != nil {
		return err
	}
	if err := c.DialAndSendWithContext(ctx, m); err != nil {
		return fmt.Errorf("send mail through %s: %w", s.Target(), err)
	}
	return nil
}

func (s *Sender) message(n notify.Notice) (*mail.Msg, error) {
	m := mail.NewMsg()
	if err := m.From(s.cfg.From); err != nil {
		return nil, fmt.Errorf("%q is not a mail address", s.cfg.From)
	}
	if len(s.cfg.To) == 0 {
		return nil, errors.New("there is nobody to send mail to")
	}
	if err := m.To(s.cfg.To...); err != nil {
		return nil, fmt.Errorf("%q are not mail addresses", s.cfg.To)
	}
	m.Subject(oneLine("[lockstep] " + n.Title))
	m.SetDateWithValue(n.Time)
	m.SetMessageIDWithValue(n.ID + "@lockstep")
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	if n.Kind == lockstep.NoticeHeld {
		m.SetImportance(mail.ImportanceHigh)
	}
	m.SetBodyString(mail.TypeTextPlain, body(n))
	return m, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// body is the text of a mail.
func body(n notify.Notice) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s", n.Title)
	if n.Text != "" {
		say("\n%s", n.Text)
	}
	for i, h := range n.Held {
		if i == 0 {
			say("\nMay still be locked:")
		}
		say("  %s", h)
	}
	if n.Hint != "" {
		say("\n%s", n.Hint)
	}
	say("")
	for _, f := range []struct{ name, value string }{
		{"deployment", n.Deployment}, {"operation", n.Operation}, {"run", string(n.Run)}, {"state", string(n.State)},
		{"data", string(n.Data)}, {"locks", string(n.Locks)}, {"backup", string(n.Backup)}, {"schedule", n.Schedule}, {"url", n.URL},
	} {
		if f.value != "" {
			say("%s: %s", f.name, f.value)
		}
	}
	say("time: %s", n.Time.UTC().Format(time.RFC3339))
	return b.String()
}

// Type implements notify.Sender.
func (s *Sender) Type() string { return "email" }

// Target implements notify.Sender.
func (s *Sender) Target() string {
	return fmt.Sprintf("%s via %s", strings.Join(s.cfg.To, ", "), net.JoinHostPort(s.cfg.Host, fmt.Sprint(s.port())))
}
