package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/internal/egress"
)

var guard = egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func secret(fill byte) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(fill), 32)))
}

func TestSend_IsSignedWithEachSecret(t *testing.T) {
	var header http.Header
	var body []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header
		body, _ = io.ReadAll(r.Body)
	}))
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	at := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	s, err := New(Config{
		URL: server.URL + "/hook", Secrets: []string{secret('n'), secret('o')}, Guard: guard, Roots: roots,
		Version: "1", Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	n := lockstep.Notice{ID: "ntc_1", Kind: lockstep.NoticeHeld, Time: at.Add(-time.Minute), Title: "held", Deployment: "shop"}
	if err := s.Send(context.Background(), n); err != nil {
		t.Fatal(err)
	}
	if header.Get("webhook-id") != "ntc_1" || header.Get("webhook-timestamp") != "1795834800" || header.Get("content-type") != "application/json" {
		t.Errorf("headers %v", header)
	}
	signatures := strings.Fields(header.Get("webhook-signature"))
	if len(signatures) != 2 {
		t.Fatalf("signatures %q; want two while secrets are changed", signatures)
	}
	for i, fill := range []byte("no") {
		mac := hmac.New(sha256.New, []byte(strings.Repeat(string(fill), 32)))
		mac.Write([]byte("ntc_1.1795834800." + string(body)))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); signatures[i] != want {
			t.Errorf("signature %d is %s, want %s", i, signatures[i], want)
		}
	}
	var got Payload
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Payload{"lockstep.held", n.Time, n}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// The specification's own example.
func TestSignatures_OfTheSpecification(t *testing.T) {
	key, err := keyOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	s := &Sender{keys: [][]byte{key}}
	got := s.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNew_RefusesSecrets(t *testing.T) {
	for _, secrets := range [][]string{nil, {"hunter2"}, {"whsec_"}, {"whsec_c2hvcnQ="}, {"whsec_%%%"}} {
		_, err := New(Config{URL: "https://example.com/", Secrets: secrets})
		if err == nil || len(secrets) > 0 && len(secrets[0]) > 6 && strings.Contains(err.Error(), secrets[0]) {
			t.Errorf("%q: %v; want an error without it", secrets, err)
		}
	}
}

func TestSend_ARefusalIsAnError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no <script>", 500) }))
	defer server.Close()
	s, err := New(Config{URL: server.URL, Secrets: []string{secret('n')}, Guard: guard, PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(context.Background(), lockstep.Notice{ID: "x"})
	if err == nil || !strings.Contains(err.Error(), "500") || strings.Contains(err.Error(), "script") {
		t.Errorf("%v; want the status and nothing of the answer", err)
	}
}
