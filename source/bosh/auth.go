package bosh

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"lockstep"
)

// authorizer gives the Authorization header of a request. fresh says that a
// proof of an earlier request will not do.
type authorizer func(ctx context.Context, fresh bool) (string, error)

// authorizer is how we prove who we are to a director that says that of
// itself.
func (d *Director) authorizer(info Info) (authorizer, error) {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(d.options.Username+":"+d.options.Password))
	if info.Auth.Type != "uaa" {
		return func(context.Context, bool) (string, error) { return basic, nil }, nil
	}
	endpoint, err := uaaURL(info.Auth.Options.URL)
	if err != nil {
		return nil, err
	}
	u := &uaa{director: d, endpoint: endpoint, client: basic}
	return u.authorize, nil
}

// uaaURL is where tokens are made. The scheme is always https, because
// secrets go there.
func uaaURL(text string) (string, error) {
	fail := func(err error) (string, error) {
		return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "invalid UAA URL", Err: err, Hint: "the director's own configuration is wrong: look at user_authentication in its /info"}
	}
	if text == "" {
		return fail(errors.New("the director names none"))
	}
	host, port, err := hostAndPort(text)
	if err != nil {
		return fail(err)
	}
	if port == "" {
		port = "443"
	}
	path := ""
	if u, err := url.Parse(text); err == nil && strings.Contains(text, "://") {
		path = strings.TrimRight(u.EscapedPath(), "/")
	}
	return "https://" + net.JoinHostPort(host, port) + path, nil
}

// uaa gets tokens for client credentials.
type uaa struct {
	director *Director
	endpoint string
	client   string // Authorization of the client

	mu    sync.Mutex
	token string // TYPE TOKEN; "" when there is none yet
}

func (u *uaa) authorize(ctx context.Context, fresh bool) (string, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.token != "" && !fresh {
		return u.token, nil
	}
	token, err := u.fetch(ctx)
	if err != nil {
		return "", fmt.Errorf("get a token from %s: %w", u.endpoint, err)
	}
	u.token = token
	return token, nil
}

func (u *uaa) fetch(ctx context.Context) (string, error) {
	answer, err := u.director.try(ctx, request{
		method: http.MethodPost, url: u.endpoint + "/oauth/token", body: []byte("grant_type=client_credentials"),
		header: http.Header{
			"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {u.client},
		},
		limit: maxSmall, again: true,
	}, false)
	if err != nil {
		// It was tried often enough.
		return "", refusal{err}
	}
	if answer.status != http.StatusOK && answer.status != http.StatusCreated {
		return "", refusal{fmt.Errorf("UAA responded with non-successful status code '%d' response '%s'", answer.status, answer.body)}
	}
	var t struct {
		Type  string `json:"token_type"`
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(answer.body, &t); err != nil {
		return "", refusal{fmt.Errorf("read the token: %w", err)}
	}
	if t.Token == "" || strings.ContainsAny(t.Type+t.Token, "\r\n\x00") {
		return "", refusal{errors.New("the answer holds no token")}
	}
	return t.Type + " " + t.Token, nil
}
