package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/state"
)

type tokenTest struct {
	*Tokens
	store state.Access
	log   *memoryLog
	clock *clock
}

func newTokens(t *testing.T) tokenTest {
	t.Helper()
	x := tokenTest{store: openStore(t), log: &memoryLog{}, clock: newClock()}
	x.Tokens = NewTokens(TokensConfig{Store: x.store, Pepper: NewPepper(), Audit: x.log, Now: x.clock.now, Log: slog.New(slog.DiscardHandler)})
	return x
}

func (x tokenTest) create(t *testing.T, req TokenRequest) (Token, Secret) {
	t.Helper()
	if req.Name == "" {
		req.Name, req.Grants = "ci", []Grant{{RoleBackupOperator, "shop"}}
	}
	token, secret, err := x.Create(asAdmin(), req)
	if err != nil {
		t.Fatal(err)
	}
	return token, secret
}

func TestTokens_LiveAsLongAsTheyShould(t *testing.T) {
	x := newTokens(t)
	token, secret := x.create(t, TokenRequest{})
	check := func() (Principal, error) { return x.Check(context.Background(), secret, "10.0.0.1") }
	p, err := check()
	if err != nil || p.String() != "token:ci" || p.Issuer != "token:root" || p.Token != token.ID || !p.May(RunsBackup, "shop") || p.May(RunsBackup, "bank") {
		t.Fatalf("a new token is %+v, %v", p, err)
	}
	if list, _ := x.List(asAdmin()); len(list) != 1 || !list[0].UsedAt.Equal(x.clock.at) {
		t.Errorf("its last use is not known: %+v", list)
	}
	if got := token.ExpiresAt.Sub(token.CreatedAt); got != TokenLife {
		t.Errorf("it lives %s", got)
	}
	x.clock.forward(TokenLife - time.Second)
	if _, err := check(); err != nil {
		t.Errorf("just before its end: %v", err)
	}
	x.clock.forward(time.Second)
	if _, err := check(); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("after its end: %v", err)
	}

	token, secret = x.create(t, TokenRequest{})
	if err := x.Revoke(asAdmin(), token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := check(); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("after it was revoked: %v", err)
	}
	if err := x.Revoke(asAdmin(), "none"); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("revoking none: %v", err)
	}
}

func TestTokens_RefuseWhatIsNoToken(t *testing.T) {
	x := newTokens(t)
	for name, req := range map[string]TokenRequest{
		"no name":      {Grants: []Grant{{RoleViewer, "*"}}},
		"a blank name": {Name: "a b", Grants: []Grant{{RoleViewer, "*"}}},
		"a long name":  {Name: strings.Repeat("x", 200), Grants: []Grant{{RoleViewer, "*"}}},
		"no role":      {Name: "ci"},
		"unknown role": {Name: "ci", Grants: []Grant{{"root", "*"}}},
		"bad pattern":  {Name: "ci", Grants: []Grant{{RoleViewer, "["}}},
		"too long":     {Name: "ci", Grants: []Grant{{RoleViewer, "*"}}, Life: MaxTokenLife + 1},
		"negative":     {Name: "ci", Grants: []Grant{{RoleViewer, "*"}}, Life: -1},
	} {
		if _, _, err := x.Create(asAdmin(), req); lockstep.KindOf(err) != lockstep.KindUsage {
			t.Errorf("%s: %v; want it refused", name, err)
		}
	}
}

// Only a server-wide admin manages tokens, and only if it can be recorded.
func TestTokens_AreManagedByAdmins(t *testing.T) {
	x := newTokens(t)
	for _, role := range Roles() {
		for _, pattern := range []string{"*", "shop"} {
			ctx := WithPrincipal(context.Background(), Principal{Name: "p", Kind: KindToken, Grants: []Grant{{role, pattern}}})
			_, _, created := x.Create(ctx, TokenRequest{Name: "ci", Grants: []Grant{{RoleViewer, "*"}}})
			_, listed := x.List(ctx)
			revoked := x.Revoke(ctx, "none")
			if role == RoleAdmin && pattern == "*" {
				if created != nil || listed != nil || lockstep.KindOf(revoked) != lockstep.KindNotFound {
					t.Errorf("an admin: %v, %v, %v", created, listed, revoked)
				}
				continue
			}
			for _, err := range []error{created, listed, revoked} {
				if lockstep.KindOf(err) != lockstep.KindForbidden {
					t.Errorf("%s@%s: %v; want it forbidden", role, pattern, err)
				}
			}
		}
	}
	token, _ := x.create(t, TokenRequest{})
	x.log.fail = errors.New("disk full")
	before, _ := x.store.Tokens(context.Background())
	_, _, created := x.Create(asAdmin(), TokenRequest{Name: "ci", Grants: []Grant{{RoleViewer, "*"}}})
	revoked := x.Revoke(asAdmin(), token.ID)
	after, _ := x.store.Tokens(context.Background())
	if lockstep.KindOf(created) != lockstep.KindUnavailable || lockstep.KindOf(revoked) != lockstep.KindUnavailable || len(after) != len(before) || !after[0].RevokedAt.IsZero() {
		t.Errorf("without an audit log: %v, %v", created, revoked)
	}
}

// An unknown token and a known one with a wrong secret must not be told apart:
// not by the answer, and not by what is computed for it.
func TestTokens_UnknownAndWrongTakeTheSameWay(t *testing.T) {
	x := newTokens(t)
	known, good := x.create(t, TokenRequest{})
	hashes := 0
	keyed := x.hash
	x.hash = func(kind, id string, secret []byte) []byte { hashes++; return keyed(kind, id, secret) }
	wrong := newTokenText()
	wrong.id = known.ID
	answers := map[string]string{}
	for name, text := range map[string]string{"good": good.Reveal(), "wrong": wrong.String(), "unknown": newTokenText().String()} {
		hashes = 0
		_, err := x.Check(context.Background(), NewSecret(text), "10.0.0.1")
		answers[name] = fmt.Sprint(err, lockstep.HintOf(err), lockstep.KindOf(err), " after ", hashes, " hashes")
	}
	if answers["wrong"] != answers["unknown"] || !strings.Contains(answers["good"], "after 1 hashes") || !strings.Contains(answers["wrong"], "after 1 hashes") {
		t.Errorf("%q", answers)
	}
}

// The secret is nowhere: not in the store, the audit log, an error or JSON.
func TestTokens_TheSecretIsShownOnce(t *testing.T) {
	x := newTokens(t)
	token, secret := x.create(t, TokenRequest{})
	text, _ := parseToken(secret.Reveal())
	stored, err := x.store.Token(context.Background(), token.ID)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", secret, "in", struct{ S Secret }{secret})
	encoded, _ := json.Marshal(map[string]any{"token": token, "secret": secret})
	_, wrong := x.Check(context.Background(), NewSecret(secret.Reveal()+"x"), "10.0.0.1")
	everything := fmt.Sprintf("%v %+v %#v %s %s %v %v %+v %v %s %q", secret, secret, secret, logged.String(), encoded, wrong, token, x.log.entries, stored, stored.Hash, stored.Grants)
	for _, s := range []string{secret.Reveal(), string(text.secret), secret.Reveal()[len(tokenPrefix)+idChars:]} {
		if strings.Contains(everything, s) {
			t.Errorf("the secret shows up in %s", everything)
		}
	}
	if fmt.Sprint(x.cfg.Pepper) != redacted || fmt.Sprintf("%#v", x.cfg.Pepper) != redacted {
		t.Error("the pepper prints itself")
	}
}

func TestTokens_AnotherPepperKnowsNobody(t *testing.T) {
	x := newTokens(t)
	_, secret := x.create(t, TokenRequest{})
	other := NewTokens(TokensConfig{Store: x.store, Pepper: NewPepper(), Audit: x.log, Now: x.clock.now})
	if _, err := other.Check(context.Background(), secret, ""); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("with another pepper: %v", err)
	}
}

func TestTokens_AreReadFromTheHeaderAlone(t *testing.T) {
	x := newTokens(t)
	_, secret := x.create(t, TokenRequest{})
	for header, want := range map[string]string{
		"Bearer " + secret.Reveal(): "", "bearer " + secret.Reveal(): "",
		"Basic " + secret.Reveal(): "none", "": "none", "Bearer ": "none", "Bearer eyJhbGciOi": "none",
		"Bearer " + secret.Reveal() + " ": "bad", "Bearer lks_x": "bad",
	} {
		r := httptest.NewRequest("GET", "/?token="+secret.Reveal()+"&access_token="+secret.Reveal(), nil)
		r.Header.Set("Authorization", header)
		_, err := x.Authenticate(r)
		got := map[bool]string{true: "none", false: "bad"}[errors.Is(err, ErrNoCredential)]
		if err == nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %v, want %q", header[:min(12, len(header))], err, want)
		}
	}
}

func TestTokens_GuessingIsSlowedDown(t *testing.T) {
	x := newTokens(t)
	_, good := x.create(t, TokenRequest{})
	if _, err := x.Check(context.Background(), good, "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	var busy *Busy
	for range 20 {
		_, err := x.Check(context.Background(), NewSecret(newTokenText().String()), "10.0.0.1")
		errors.As(err, &busy)
	}
	if busy == nil {
		t.Fatal("twenty guesses were not slowed down")
	}
	// A good token that is known from there, as behind one proxy, still works.
	if _, err := x.Check(context.Background(), good, "10.0.0.1"); err != nil {
		t.Errorf("a good token behind the same address: %v", err)
	}
	_, unseen := x.create(t, TokenRequest{})
	if _, err := x.Check(context.Background(), unseen, "10.0.0.1"); !errors.As(err, &busy) {
		t.Errorf("one that was never seen from there: %v; want it to wait", err)
	}
}

func TestKeepAdminToken(t *testing.T) {
	x, dir := newTokens(t), t.TempDir()
	keep := func() Secret {
		t.Helper()
		if err := x.KeepAdminToken(context.Background(), dir); err != nil {
			t.Fatal(err)
		}
		s, err := ReadAdminToken(dir)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := x.Check(context.Background(), s, ""); err != nil || !p.May(TokensManage, ServerWide) || p.May(ApprovalsGive, "shop") {
			t.Fatalf("it is %+v, %v", p, err)
		}
		return s
	}
	first := keep()
	if info, _ := os.Stat(filepath.Join(dir, AdminTokenFile)); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	if keep() != first {
		t.Error("a good one was replaced")
	}
	x.clock.forward(TokenLife - renewBefore + time.Hour)
	second := keep()
	if second == first {
		t.Error("one that ends soon was not replaced")
	}
	if _, err := x.Check(context.Background(), first, ""); err == nil {
		t.Error("the one before is still good")
	}
	if err := os.WriteFile(filepath.Join(dir, AdminTokenFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if keep() == second {
		t.Error("garbage was kept")
	}
}

func TestLoadPepper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pepper")
	a, err := LoadPepper(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadPepper(path)
	if err != nil || string(a.key) != string(b.key) || len(a.key) != pepperBytes {
		t.Errorf("read again it is another: %v", err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadPepper(path); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a pepper that is none: %v", err)
	}
}
