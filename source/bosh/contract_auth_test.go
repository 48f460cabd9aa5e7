package bosh

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"testing"

	mock "lockstep/internal/mockdirector"
)

// token is a call for a token, answered with that one.
func token(value string) []mock.Call {
	return []mock.Call{{
		Method: "POST", URL: "/uaa/oauth/token",
		Body: fmt.Sprintf(`{"access_token":%q,"token_type":"bearer","expires_in":3600}`, value),
		Check: func(r *http.Request, body []byte) error {
			if string(body) != "grant_type=client_credentials" || r.Header.Get("Accept") != "application/json" ||
				r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				return fmt.Errorf("body %q, headers %v", body, r.Header)
			}
			return nil
		},
	}}
}

// with replaces the authorization of calls, one value after another; the last
// holds for all that follow.
func with(calls []mock.Call, values ...string) []mock.Call {
	for i := range calls {
		calls[i].Authorization = "bearer " + values[min(i, len(values)-1)]
	}
	return calls
}

func TestContract_6_2_UAAClientCredentials(t *testing.T) {
	t.Parallel()
	web := mock.NewInstance(t, "web", "w", 0)
	login, director := mock.New(t), mock.New(t)
	director.Expect(mock.InfoUAA(login.URL() + "/uaa/"))
	director.Expect(
		// A token at first, a fresh one for the redirect, which serves on.
		with(mock.VMs("cf", web), "1", "2"),
		with(mock.Manifest("cf", "x"), "2"),
		// A fresh one for a request with a body, and for its redirect.
		with(mock.SetupSSH("cf", "web", web), "3", "4"),
		with(mock.CleanupSSH("cf", web), "5", "6"),
	)
	for i := range 6 {
		login.Expect(token(fmt.Sprint(i + 1)))
	}
	s := newSource(t, Options{Director: newDirector(t, optionsFor(director)), Deployment: "cf", Exact: true})
	release(t, mustResolve(t, s, nil))
}

func TestContract_6_2_ATokenThatIsNotTakenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	login, director := mock.New(t), mock.New(t)
	login.Expect(token("old"), token("new"), token("newer"))
	director.Expect(
		mock.InfoUAA(login.URL()+"/uaa"),
		with(mock.Fails("GET", "/deployments", 401, ""), "old"), with(mock.Deployments("cf"), "new"),
		with(mock.Fails("GET", "/deployments", 401, ""), "new"), with(mock.Fails("GET", "/deployments", 401, "no"), "newer"),
	)
	d := newDirector(t, optionsFor(director))
	if _, err := d.Deployments(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := d.Deployments(t.Context())
	wantError(t, err, "Director responded with non-successful status code '401' response 'no'")
}

func TestContract_6_2_BasicIsTriedOnceMoreToo(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	director.Expect(mock.Info(), slices.Repeat(mock.Fails("GET", "/deployments", 401, "no"), 2))
	_, err := newDirector(t, optionsFor(director)).Deployments(t.Context())
	wantError(t, err, "Director responded with non-successful status code '401' response 'no'")
}

func TestContract_6_2_InvalidUAAURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "https://:1"} {
		director := mock.New(t)
		director.Expect(mock.InfoUAA(url))
		_, err := newDirector(t, optionsFor(director)).Info(t.Context())
		wantError(t, err, "invalid UAA URL")
	}
	for text, want := range map[string]string{
		"https://uaa.example:8443": "https://uaa.example:8443", "http://uaa.example/x/": "https://uaa.example:443/x", "uaa.example": "https://uaa.example:443",
	} {
		if got, err := uaaURL(text); got != want || err != nil {
			t.Errorf("%q gives %q, %v", text, got, err)
		}
	}
}

func TestContract_6_2_AUAAThatRefuses(t *testing.T) {
	t.Parallel()
	for _, call := range []mock.Call{
		{Status: 401, Body: "bad client"}, {Status: 500, Body: "boom"}, {Body: "{}"}, {Body: "<html>"}, {Body: `{"access_token":"a\r\nX: y"}`},
	} {
		login, director := mock.New(t), mock.New(t)
		call.Method, call.URL = "POST", "/oauth/token"
		login.Expect([]mock.Call{call})
		director.Expect(mock.InfoUAA(login.URL()))
		_, err := newDirector(t, optionsFor(director)).Deployments(t.Context())
		wantError(t, err, "get a token from "+login.URL(), call.Body[:min(len(call.Body), 4*(call.Status/400))])
	}
}

func TestContract_6_2_TheUAAsCertificateIsCheckedAgainstTheSameCA(t *testing.T) {
	t.Parallel()
	login := newStrangeServer(t)
	director := mock.New(t)
	director.Expect(mock.InfoUAA(login))
	_, err := newDirector(t, optionsFor(director)).Deployments(t.Context())
	wantError(t, err, "get a token", "certificate")
}

func TestBasicCredentialsMayHoldAnything(t *testing.T) {
	t.Parallel()
	director := mock.New(t)
	calls := mock.Deployments()
	calls[0].Authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte("ädmin:pa:ss wörd\""))
	director.Expect(mock.Info(), calls)
	o := optionsFor(director)
	o.Username, o.Password = "ädmin", "pa:ss wörd\""
	if _, err := newDirector(t, o).Deployments(t.Context()); err != nil {
		t.Error(err)
	}
}
