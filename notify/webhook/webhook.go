// Package webhook sends notices as signed HTTP requests, as the Standard
// Webhooks specification has it (https://www.standardwebhooks.com): the headers
// webhook-id, webhook-timestamp and webhook-signature, where a signature is
// "v1," and the base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY".
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/egress"
	"lockstep/notify"
)

// Config is a receiver.
type Config struct {
	URL string
	// Secrets sign each request: one, or the new and the old one while they are
	// being changed. They are written "whsec_" and base64, 24 to 64 bytes.
	Secrets []string
	Guard   egress.Guard
	// Roots are the authorities of the receiver's certificate; nil: the
	// machine's.
	Roots *x509.CertPool
	// PlainHTTP allows an http address.
	PlainHTTP bool
	Version   string
	// Now is time.Now, or what stands for it in a test.
	Now func() time.Time
}

// Sender implements notify.Sender.
type Sender struct {
	poster *egress.Poster
	keys   [][]byte
	cfg    Config
}

var _ notify.Sender = (*Sender)(nil)

// New checks the configuration; its errors hold no secret.
func New(cfg Config) (*Sender, error) {
	poster, err := egress.NewPoster(cfg.URL, cfg.Guard, cfg.Roots, cfg.PlainHTTP)
	if err != nil {
		return nil, err
	}
	s := &Sender{poster: poster}
	for _, text := range cfg.Secrets {
		key, err := keyOf(text)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	if len(s.keys) == 0 {
		return nil, errors.New("a webhook needs a secret to sign with; make one with: echo whsec_$(head -c 32 /dev/urandom | base64)")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.URL, cfg.Secrets = "", nil
	s.cfg = cfg
	return s, nil
}

func keyOf(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 {
		return nil, errors.New(`a secret is "whsec_" and the base64 of 24 to 64 random bytes; make one with: echo whsec_$(head -c 32 /dev/urandom | base64)`)
	}
	return key, nil
}

// Payload is the body of a request.
type Payload struct {
	// Type is "lockstep." and the notice's kind.
	Type      string        `json:"type"`
	Timestamp time.Time     `json:"timestamp"`
	Data      notify.Notice `json:"data"`
}

// Send implements notify.Sender.
func (s *Sender) Send(ctx context.Context, n notify.Notice) error {
	body, err := json.Marshal(Payload{Type: "lockstep." + string(n.Kind), Timestamp: n.Time, Data: n})
	if err != nil {
		return fmt.Errorf("encode notice: %w", err)
	}
	at := s.cfg.Now()
	return s.poster.Post(ctx, http.Header{
		"Content-Type":      {"application/json"},
		"User-Agent":        {"lockstep/" + s.cfg.Version},
		"Webhook-Id":        {n.ID},
		"Webhook-Timestamp": {strconv.FormatInt(at.Unix(), 10)},
		"Webhook-Signature": {s.signatures(n.ID, at, body)},
	}, body)
}

// signatures are one for each secret, separated by spaces.
func (s *Sender) signatures(id string, at time.Time, body []byte) string {
	var all []string
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// Type implements notify.Sender.
func (s *Sender) Type() string { return "webhook" }

// Target implements notify.Sender.
func (s *Sender) Target() string { return s.poster.Host() }
