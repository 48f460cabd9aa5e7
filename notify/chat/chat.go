// Package chat sends notices to chat rooms through their incoming webhooks, in
// the shapes that Slack and Teams (and what imitates them) take, or in one that
// a template makes.
package chat

import (
	"bytes"
	"context"
	"crypto/x509"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/template"
	"time"

	"lockstep"
	"lockstep/internal/egress"
	"lockstep/notify"
)

//go:embed templates/*.tmpl
var templates embed.FS

// Config is a receiver.
type Config struct {
	// URL is the room's incoming webhook. Whoever knows it can write there.
	URL string
	// Style is "slack" or "teams". Template, if not "", is a text/template over
	// a Notice that takes its place and makes JSON; `json` in it quotes a value.
	Style, Template string
	Guard           egress.Guard
	Roots           *x509.CertPool
	PlainHTTP       bool
}

// Sender implements notify.Sender.
type Sender struct {
	poster *egress.Poster
	shape  *template.Template
}

var _ notify.Sender = (*Sender)(nil)

var functions = template.FuncMap{
	"json":  quoted,
	"color": color,
	"alarm": func(n notify.Notice) bool { return n.Kind.Alarm() },
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"plain": plain,
	"join":  strings.Join,
}

// New checks the configuration, the template by making a message of a sample.
func New(cfg Config) (*Sender, error) {
	poster, err := egress.NewPoster(cfg.URL, cfg.Guard, cfg.Roots, cfg.PlainHTTP)
	if err != nil {
		return nil, err
	}
	text := cfg.Template
	if text == "" {
		own, err := templates.ReadFile("templates/" + cfg.Style + ".tmpl")
		if err != nil || strings.ContainsAny(cfg.Style, "/.") {
			return nil, fmt.Errorf("%q is not a chat style; write slack or teams", cfg.Style)
		}
		text = string(own)
	}
	shape, err := template.New("notice").Funcs(functions).Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	s := &Sender{poster: poster, shape: shape}
	if _, err := s.message(sample); err != nil {
		return nil, err
	}
	return s, nil
}

// sample has something in every field that a template may ask for.
var sample = notify.Notice{
	ID: "ntc_0", Kind: lockstep.NoticeFailed, Title: "a \"title\" \\ <&>\n", Text: "text", Hint: "hint", Deployment: "shop",
	Operation: "backup", Run: "0", Held: []string{"db/0/postgres"}, Time: time.Unix(0, 0), URL: "https://example.com/",
}

// maxMessage is more than a chat takes.
const maxMessage = 64 << 10

func (s *Sender) message(n notify.Notice) ([]byte, error) {
	var out bytes.Buffer
	if err := s.shape.Execute(&out, n); err != nil {
		return nil, fmt.Errorf("make a message of a notice: %w", err)
	}
	if out.Len() > maxMessage || !json.Valid(out.Bytes()) {
		return nil, errors.New("make a message of a notice: the template makes no JSON, or more than 64 KiB")
	}
	return out.Bytes(), nil
}

// Send implements notify.Sender.
func (s *Sender) Send(ctx context.Context, n notify.Notice) error {
	body, err := s.message(n)
	if err != nil {
		return err
	}
	return s.poster.Post(ctx, http.Header{"Content-Type": {"application/json"}}, body)
}

// Type implements notify.Sender.
func (s *Sender) Type() string { return "chat" }

// Target implements notify.Sender.
func (s *Sender) Target() string { return s.poster.Host() }

func quoted(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// plain keeps a text from meaning anything to a chat: no mention, no link, no
// mark-up.
func plain(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func color(n notify.Notice) string {
	switch {
	case n.Kind == lockstep.NoticeHeld:
		return "#b00020"
	case n.Kind.Alarm():
		return "#d1495b"
	case n.Kind == lockstep.NoticeSucceeded, n.Kind == lockstep.NoticeReleased:
		return "#2e7d32"
	}
	return "#607d8b"
}
