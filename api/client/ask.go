package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lockstep"
	"lockstep/api"
)

// question is one request.
type question struct {
	method string
	path   []string // its elements, below /api/v1
	query  url.Values
	body   any
	header http.Header
	// again: asking it twice does no harm.
	again bool
}

func get(path ...string) question {
	return question{method: http.MethodGet, path: path, query: url.Values{}, again: true}
}

func post(body any, path ...string) question {
	return question{method: http.MethodPost, path: path, body: body}
}

// maxAnswer bounds an answer, in bytes: far more than any has.
const maxAnswer = 256 << 20

// ask asks and reads the answer into out; out may be nil.
func (c *Client) ask(ctx context.Context, q question, out any) error {
	var b backoff
	for deadline := time.Now().Add(patience); ; {
		err := c.askOnce(ctx, q, out)
		if err == nil || ctx.Err() != nil || !q.again || !c.reached.Load() || lockstep.KindOf(err) != lockstep.KindUnavailable {
			return err
		}
		d := b.next()
		if time.Now().Add(d).After(deadline) || !c.pause(ctx, err, d) {
			return err
		}
	}
}

func (c *Client) askOnce(ctx context.Context, q question, out any) error {
	if q.again {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, tryLimit)
		defer stop()
	}
	resp, err := c.send(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return c.noAnswer(ctx, q, err)
	case len(data) > maxAnswer:
		return fmt.Errorf("read the answer of %s: it is larger than %d bytes", c.base.Host, maxAnswer)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", c.base.Host, err)
	}
	return nil
}

// send asks and gives an answer that is not an error; whoever gets it closes its
// body.
func (c *Client) send(ctx context.Context, q question) (*http.Response, error) {
	var body io.Reader
	if q.body != nil {
		data, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, c.url(q), body)
	if err != nil {
		return nil, err
	}
	for name, values := range q.header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "lockstep")
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.noAnswer(ctx, q, err)
	}
	c.reached.Store(true)
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(resp)
}

func (c *Client) url(q question) string {
	var elements []string
	for _, e := range q.path {
		elements = append(elements, url.PathEscape(e))
	}
	u := c.base.String() + "/api/v1/" + strings.Join(elements, "/")
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	return u
}

// noAnswer is the error of a question that was not answered, or not to its
// end.
func (c *Client) noAnswer(ctx context.Context, q question, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the URL is said already
	}
	hint := "is `lockstep serve` running there?"
	if bad := new(tls.CertificateVerificationError); errors.As(err, &bad) {
		hint = "ask it by a name that its certificate has (server.public_url); this host must know who signed it"
	}
	if c.reached.Load() {
		hint = "it has answered before: it may be back soon"
	}
	if q.method != http.MethodGet && !q.again {
		hint = "whether it was done is not known; " + hint
	}
	return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "ask " + c.base.String(), Err: err, Hint: hint}
}

// tlsWanted is what net/http answers where it is asked without TLS and has it.
const tlsWanted = "Client sent an HTTP request to an HTTPS server."

// refusal is the error that an answer is.
func (c *Client) refusal(resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p api.Problem
	if err == nil && media == "application/problem+json" && json.Unmarshal(data, &p) == nil {
		return errorOf(p)
	}
	kind := lockstep.KindInternal
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		kind = lockstep.KindUnavailable
	}
	hint := "is that the URL of a `lockstep serve`, and is a proxy in between?"
	if c.base.Scheme == "http" && bytes.HasPrefix(data, []byte(tlsWanted)) {
		hint = "it wants TLS: begin the URL with https://, and ask it by a name that its certificate has"
	}
	return &lockstep.Error{
		Kind: kind, Op: "ask " + c.base.String(), Err: fmt.Errorf("it answered %s, in a way that lockstep does not", resp.Status),
		Hint: hint,
	}
}

func errorOf(p api.Problem) error {
	return &lockstep.Error{Kind: lockstep.Kind(p.Kind), Err: told{p}, Hint: p.Hint}
}

// told is an error that the server has told, in its own words.
type told struct{ p api.Problem }

// Error is the whole of it.
func (t told) Error() string { return t.p.Detail }

// Message is the server's; one of an older program has only the whole.
func (t told) Message() lockstep.Message {
	if t.p.What == "" {
		return lockstep.Message{What: t.p.Detail, Hint: t.p.Hint}
	}
	return lockstep.Message{What: t.p.What, Why: t.p.Why, Hint: t.p.Hint}
}

// pages asks for all pages of a list, or for the first most items; 0 is all.
func pages[T any](ctx context.Context, c *Client, q question, most int) ([]T, error) {
	var all []T
	for {
		size := pageSize
		if most > 0 {
			size = min(size, most-len(all))
		}
		q.query.Set("limit", fmt.Sprint(size))
		var p api.Page[T]
		if err := c.ask(ctx, q, &p); err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if p.Next == "" || most > 0 && len(all) >= most {
			return all, nil
		}
		q.query.Set("cursor", p.Next)
	}
}

// pageSize is the largest page that the server gives.
const pageSize = 500
