package bosh

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Bounds of answers, in bytes: of errors and of what is short, and of lists
// and manifests.
const (
	maxSmall = 1 << 20
	maxLarge = 64 << 20
)

const (
	maxAttempts  = 5
	maxRedirects = 10
)

// StatusError is an answer with a status that is not success.
type StatusError struct {
	Status int
	Body   string
}

// Error is in the words that operators of bbr know.
func (e *StatusError) Error() string {
	return fmt.Sprintf("Director responded with non-successful status code '%d' response '%s'", e.Status, e.Body)
}

// request is one request with all its retries and redirects.
type request struct {
	method, url string
	body        []byte
	header      http.Header
	// auth proves who we are; nil is a request of nobody.
	auth authorizer
	// limit bounds the answer in bytes.
	limit int64
	// tolerate is a status that says that there is nothing, which is not
	// an error; 0 is none.
	tolerate int
	// again: it may be sent twice though it is not a GET.
	again bool
}

// reply is an answer, read to its end.
type reply struct {
	status   int
	location string
	body     []byte
}

// get asks for a path as ourselves.
func (d *Director) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	return d.callAuthorized(ctx, request{method: http.MethodGet, url: d.url + path, limit: limit})
}

// callAuthorized is call as ourselves.
func (d *Director) callAuthorized(ctx context.Context, r request) ([]byte, error) {
	if _, err := d.Info(ctx); err != nil {
		return nil, err
	}
	r.auth = d.auth
	return d.call(ctx, r)
}

// call sends a request, follows redirects, and gives the body of a success.
func (d *Director) call(ctx context.Context, r request) ([]byte, error) {
	answer, err := d.follow(ctx, r)
	if err != nil {
		return nil, err
	}
	switch answer.status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusPartialContent, http.StatusFound:
		return answer.body, nil
	case r.tolerate:
		return nil, nil
	}
	return nil, &StatusError{answer.status, string(answer.body)}
}

// follow sends a request and follows redirects: with GET, to the same
// director, without body and headers.
func (d *Director) follow(ctx context.Context, r request) (reply, error) {
	fresh := r.body != nil
	for range maxRedirects {
		answer, err := d.try(ctx, r, fresh)
		if err != nil || answer.location == "" {
			return answer, err
		}
		next, err := d.redirect(r.url, answer.location)
		if err != nil {
			return reply{}, err
		}
		r.method, r.url, r.body, r.header, fresh = http.MethodGet, next, nil, nil, true
	}
	return reply{}, fmt.Errorf("request %s: more than %d redirects", r.url, maxRedirects)
}

// redirect is where a location leads, on the same host.
func (d *Director) redirect(from, location string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", fmt.Errorf("redirect from %s: %w", from, err)
	}
	to, err := base.Parse(location)
	if err != nil {
		return "", fmt.Errorf("redirect from %s: %w", from, err)
	}
	to.Scheme, to.Host, to.User = base.Scheme, base.Host, nil
	return to.String(), nil
}

// try sends a request until it is answered, at most maxAttempts times: network
// errors are tried again, and so are 502, 503 and 504 where nothing is changed
// by asking twice. A director that has answered before is given more time.
func (d *Director) try(ctx context.Context, r request, fresh bool) (reply, error) {
	var answer reply
	var err error
	began := time.Now()
	for attempt := 1; ; attempt++ {
		answer, err = d.authorized(ctx, r, fresh)
		again := err != nil && !permanent(err) || err == nil && passing(r, answer.status)
		over := attempt >= maxAttempts && (!d.answered.Load() || time.Since(began) >= d.options.Patience)
		if !again || over || ctx.Err() != nil {
			return answer, err
		}
		d.options.Log("debug", fmt.Sprintf("[httpClient] attempt %d of %s %s: status %d, error %v", attempt, r.method, r.url, answer.status, err))
		if !pause(ctx, d.options.RetryPause) {
			return reply{}, context.Cause(ctx)
		}
	}
}

// passing reports whether an answer is one of a server that is not up yet, to a
// request that may be sent again.
func passing(r request, status int) bool {
	if r.method != http.MethodGet && r.method != http.MethodHead && !r.again {
		return false
	}
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// permanent errors are not tried again: a certificate does not get better, and
// neither does a login that was refused.
func permanent(err error) bool {
	var certificate *tls.CertificateVerificationError
	var status *StatusError
	var refusal refusal
	return errors.As(err, &certificate) || errors.As(err, &status) || errors.As(err, &refusal)
}

// refusal is an error that will be the same next time.
type refusal struct{ error }

// Unwrap gives the cause.
func (r refusal) Unwrap() error { return r.error }

// authorized sends a request once, and once more with a new proof of who we
// are where the first was not taken.
func (d *Director) authorized(ctx context.Context, r request, fresh bool) (reply, error) {
	answer, err := d.send(ctx, r, fresh)
	if err == nil && answer.status == http.StatusUnauthorized && r.auth != nil {
		return d.send(ctx, r, true)
	}
	return answer, err
}

// send sends a request once and reads the answer.
func (d *Director) send(ctx context.Context, r request, fresh bool) (reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.options.Timeout, fmt.Errorf("no answer within %s", d.options.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return reply{}, refusal{fmt.Errorf("request %s: %w", r.url, err)}
	}
	if r.body == nil {
		req.Body, req.ContentLength, req.GetBody = nil, 0, nil
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if r.auth != nil {
		proof, err := r.auth(ctx, fresh)
		if err != nil {
			return reply{}, err
		}
		req.Header.Set("Authorization", proof)
	}
	d.options.Log("debug", fmt.Sprintf("[httpClient] Sending %s request to endpoint '%s'", r.method, r.url))
	resp, err := d.http.Do(req)
	if err != nil {
		if context.Cause(ctx) != nil && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w: %w", err, context.Cause(ctx))
		}
		return reply{}, fmt.Errorf("perform request: %w", err)
	}
	defer resp.Body.Close()
	return d.read(resp, r)
}

// read reads an answer to its end.
func (d *Director) read(resp *http.Response, r request) (reply, error) {
	answer := reply{status: resp.StatusCode}
	limit := r.limit
	if isRedirect(resp.StatusCode) {
		answer.location = resp.Header.Get("Location")
	}
	if resp.StatusCode >= 300 {
		limit = min(limit, maxSmall)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case resp.StatusCode >= 300:
		// What is left of an error or a redirect is of no use.
		body = body[:min(int64(len(body)), limit)]
	case err != nil:
		return reply{}, fmt.Errorf("read the answer to %s %s: %w", r.method, r.url, err)
	case int64(len(body)) > limit:
		return reply{}, misread{refusal{fmt.Errorf("the answer to %s %s is longer than %d bytes", r.method, r.url, limit)}}
	}
	answer.body = body
	d.answered.Store(d.answered.Load() || answer.status < 500)
	d.options.Log("debug", fmt.Sprintf("[httpClient] %s %s answered with status %d, %d bytes", r.method, r.url, answer.status, len(body)))
	return answer, nil
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// pause waits and reports whether it was not disturbed.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
