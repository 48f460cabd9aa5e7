// Package accesstest has an identity provider for tests of logins.
package accesstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// Issuer is an identity provider in this process.
type Issuer struct {
	*httptest.Server
	key    *rsa.PrivateKey
	Claims map[string]any // of the next code's token
	codes  map[string]url.Values
	Down   atomic.Bool
	at     time.Time
}

// NewIssuer begins one that issues tokens at that time. It ends with the test.
func NewIssuer(t *testing.T, at time.Time) *Issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	is := &Issuer{key: key, at: at, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if is.Down.Load() {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(is.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": is.URL, "authorization_endpoint": is.URL + "/authorize", "token_endpoint": is.URL + "/token", "jwks_uri": is.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		asked, ok := is.codes[r.FormValue("code")]
		delete(is.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || asked.Get("code_challenge") != b64(sum[:]) || asked.Get("code_challenge_method") != "S256" {
			w.WriteHeader(400)
			answer(w, map[string]any{"error": "invalid_grant"})
			return
		}
		claims := is.Good()
		claims["nonce"] = asked.Get("nonce")
		maps.Copy(claims, is.Claims)
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": is.Sign("RS256", claims)})
	})
	return is
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Authorize is what the provider does with a browser that was sent to it: it
// sends it back with a code.
func (is *Issuer) Authorize(location string) (back string) {
	u, _ := url.Parse(location)
	is.codes["code1"] = u.Query()
	return u.Query().Get("redirect_uri") + "?" + url.Values{"code": {"code1"}, "state": {u.Query().Get("state")}}.Encode()
}

// Good are claims that are accepted.
func (is *Issuer) Good() map[string]any {
	return map[string]any{
		"iss": is.URL, "aud": "lockstep", "sub": "ann", "exp": is.at.Add(time.Hour).Unix(), "iat": is.at.Unix(),
		"groups": []string{"ops", "cooks"},
	}
}

// Sign makes a token as that algorithm says.
func (is *Issuer) Sign(alg string, claims map[string]any) string {
	head, _ := json.Marshal(map[string]any{"alg": alg, "kid": "1"})
	body, _ := json.Marshal(claims)
	text := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	switch alg {
	case "RS256":
		sig, _ = rsa.SignPKCS1v15(rand.Reader, is.key, crypto.SHA256, sum[:])
	case "HS256": // with the public key as the secret
		mac := hmac.New(sha256.New, is.key.N.Bytes())
		mac.Write([]byte(text))
		sig = mac.Sum(nil)
	case "ES256": // with a key that nobody knows
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		r, s, _ := ecdsa.Sign(rand.Reader, key, sum[:])
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return text + "." + b64(sig)
}
