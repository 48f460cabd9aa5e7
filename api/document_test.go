package api

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"lockstep/access"
)

func TestEveryRouteIsInTheDocumentAndInTheTableOfAccess(t *testing.T) {
	a := newShop(t).api
	var doc struct {
		OpenAPI string                                `json:"openapi"`
		Paths   map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(a.Document(), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Fatalf("document: version %q, %v", doc.OpenAPI, err)
	}
	documented := 0
	for _, operations := range doc.Paths {
		documented += len(operations)
	}
	for _, route := range a.Routes() {
		if access.Routes[route] == "" {
			t.Errorf("route %q has no permission: add it to access.Routes", route)
		}
		method, path, _ := strings.Cut(route, " ")
		if path == "/openapi.json" {
			continue
		}
		documented--
		if doc.Paths[path][strings.ToLower(method)] == nil {
			t.Errorf("route %q is not in the document", route)
		}
	}
	if documented != 0 {
		t.Errorf("%d operations more are in the document than there are routes", documented)
	}
}

// example is a request that its route answers without an error.
type example struct {
	route, path, body string
	status            int
}

// TestAnswersFollowTheDocument asks every route and compares what comes with
// what the document says.
func TestAnswersFollowTheDocument(t *testing.T) {
	s := newShop(t)
	run := s.backup()
	id, backup := string(run.ID), string(run.Plan.Backup)
	examples := []example{
		{"GET /openapi.json", "/openapi.json", "", 200},
		{"GET /api/v1/deployments", "/deployments", "", 200},
		{"GET /api/v1/status", "/status", "", 200},
		{"GET /api/v1/held", "/held?deployment=shop", "", 200},
		{"GET /api/v1/leading", "/leading", "", 200},
		{"POST /api/v1/plans", "/plans", `{"operation":"plan","deployment":"shop"}`, 200},
		{"POST /api/v1/runs", "/runs", `{"operation":"check","deployment":"shop"}`, 202},
		{"GET /api/v1/runs", "/runs?operation=backup&limit=1", "", 200},
		{"GET /api/v1/runs/{run}", "/runs/" + id, "", 200},
		{"GET /api/v1/runs/{run}/events", "/runs/" + id + "/events", "", 200},
		{"GET /api/v1/runs/{run}/output", "/runs/" + id + "/output?step=db/0/postgres/backup", "", 200},
		{"GET /api/v1/runs/{run}/audit", "/runs/" + id + "/audit", "", 200},
		{"POST /api/v1/runs/{run}/cancel", "/runs/" + id + "/cancel", "", 202},
		{"POST /api/v1/runs/{run}/acknowledge", "/runs/" + id + "/acknowledge", `{"job":"postgres","reason":"saw it"}`, 404},
		{"POST /api/v1/settlements", "/settlements", `{}`, 200},
		{"POST /api/v1/prunings", "/prunings", `{"older_than_seconds":86400}`, 200},
		{"GET /api/v1/backups", "/backups?deployment=shop", "", 200},
		{"GET /api/v1/backups/{backup}", "/backups/latest?deployment=shop", "", 200},
		{"POST /api/v1/backups/{backup}/verify", "/backups/" + backup + "/verify", "", 200},
		{"GET /api/v1/backups/{backup}/artifacts/{artifact}", "/backups/" + backup + "/artifacts/db-0-postgres", "", 200},
		{"GET /api/v1/backups/{backup}/artifacts/{artifact}/entries", "/backups/" + backup + "/artifacts/db-0-postgres/entries", "", 200},
		{"DELETE /api/v1/backups/{backup}", "/backups/none", "", 404},
		{"GET /api/v1/me", "/me", "", 200},
		{"GET /api/v1/tokens", "/tokens", "", 200},
		{"POST /api/v1/tokens", "/tokens", `{"name":"ci","roles":["viewer@shop"]}`, 201},
		{"GET /api/v1/tokens", "/tokens", "", 200},
		{"DELETE /api/v1/tokens/{token}", "/tokens/none", "", 404},
		{"GET /api/v1/audit", "/audit?limit=2", "", 200},
		{"POST /api/v1/audit/verify", "/audit/verify", `{}`, 200},
		{"PUT /api/v1/schedules/{schedule}", "/schedules/nightly", `{"deployment":"shop","cron":"@daily","zone":"Europe/Berlin"}`, 200},
		{"PUT /api/v1/schedules/{schedule}", "/schedules/tidy", `{"deployment":"shop","cron":"@daily","operation":"forget","keep":{"daily":7}}`, 200},
		{"PUT /api/v1/schedules/{schedule}", "/schedules/wrong", `{"deployment":"shop","cron":"61 * * * *"}`, 422},
		{"POST /api/v1/schedules/{schedule}/pause", "/schedules/nightly/pause", "", 200},
		{"POST /api/v1/schedules/{schedule}/resume", "/schedules/nightly/resume", "", 200},
		{"POST /api/v1/schedules/{schedule}/run", "/schedules/tidy/run", "", 202},
		{"GET /api/v1/schedules", "/schedules?deployment=shop", "", 200},
		{"GET /api/v1/schedules/{schedule}", "/schedules/tidy", "", 200},
		{"GET /api/v1/schedules/{schedule}/next", "/schedules/nightly/next?limit=2", "", 200},
		{"GET /api/v1/schedules/{schedule}/slots", "/schedules/tidy/slots", "", 200},
		{"DELETE /api/v1/schedules/{schedule}", "/schedules/nightly", "", 204},
		{"GET /api/v1/receivers", "/receivers", "", 200},
		{"POST /api/v1/receivers/test", "/receivers/test", `{"receiver":"ops"}`, 200},
		{"GET /api/v1/deliveries", "/deliveries?state=pending", "", 200},
		{"GET /api/v1/approvals", "/approvals", "", 200},
		{"GET /api/v1/approvals/{approval}", "/approvals/none", "", 404},
		{"POST /api/v1/approvals", "/approvals", `{"request":{"operation":"restore","deployment":"shop","backup":"none"},"reason":"drill"}`, 404},
		{"POST /api/v1/approvals/{approval}/approve", "/approvals/none/approve", "", 404},
		{"POST /api/v1/approvals/{approval}/deny", "/approvals/none/deny", "", 404},
	}
	for _, route := range s.api.Routes() {
		if !slices.ContainsFunc(examples, func(e example) bool { return e.route == route }) {
			t.Errorf("route %q has no example here", route)
		}
	}
	for _, e := range examples {
		s.answers(e)
	}
	s.app.Close()
	s.answersAboutApprovals(backup)

	// Errors are in the document too.
	for _, e := range []example{
		{"GET /api/v1/runs/{run}", "/runs/none", "", 404},
		{"GET /api/v1/runs/{run}/events", "/runs/none/events", "", 404},
		{"GET /api/v1/runs", "/runs?limit=1000", "", 422},
		{"GET /api/v1/runs", "/runs?limt=10", "", 422},
		{"GET /api/v1/runs", "/runs?state=lost", "", 422},
		{"POST /api/v1/runs", "/runs", `{"operation":"backup","deployment":"nowhere"}`, 404},
		{"POST /api/v1/runs", "/runs", `{"operation":"backup","deployment":"shop","by":"me"}`, 422},
		{"POST /api/v1/runs", "/runs", `{"operation":"backup"`, 400},
		{"POST /api/v1/runs", "/runs", strings.Repeat("[", 2000), 400},
		{"POST /api/v1/runs", "/runs", "", 400},
	} {
		method, _, _ := strings.Cut(e.route, " ")
		resp := s.ask(method, e.path, e.body)
		data, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != e.status || resp.Header.Get("Content-Type") != contentType {
			t.Errorf("%s %s %.40s: %s, %v; want %d and a problem\n%s", method, e.path, e.body, resp.Status, err, e.status, data)
			continue
		}
		s.follows(e.route, resp, data)
	}
}

// answers asks for an example, compares the answer with the document and gives
// it.
func (s *shop) answers(e example) []byte {
	s.t.Helper()
	method, _, _ := strings.Cut(e.route, " ")
	resp := s.ask(method, e.path, e.body)
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != e.status {
		s.t.Errorf("%s: %s, %v; want %d\n%s", e.route, resp.Status, err, e.status, data)
		return data
	}
	s.follows(e.route, resp, data)
	return data
}

// answersAboutApprovals has a restore asked for, approved and denied, and then
// deletes the backup.
func (s *shop) answersAboutApprovals(backup string) {
	s.t.Helper()
	asked := `{"request":{"operation":"restore","deployment":"shop","backup":"` + backup + `"},"reason":"drill"}`
	admin := s.who
	for _, verb := range []string{"approve", "deny"} {
		var x struct {
			ID string `json:"id"`
		}
		s.must(json.Unmarshal(s.answers(example{"POST /api/v1/approvals", "/approvals", asked, 201}), &x))
		s.answers(example{"GET /api/v1/approvals/{approval}", "/approvals/" + x.ID, "", 200})
		s.who = access.Principal{Name: "second", Kind: access.KindToken, Grants: []access.Grant{{Role: access.RoleApprover, Deployments: "*"}}}
		s.answers(example{"POST /api/v1/approvals/{approval}/" + verb, "/approvals/" + x.ID + "/" + verb, "", 200})
		s.who = admin
	}
	s.answers(example{"GET /api/v1/approvals", "/approvals", "", 200})
	s.answers(example{"GET /api/v1/audit", "/audit", "", 200})
	s.answers(example{"DELETE /api/v1/backups/{backup}", "/backups/" + backup, "", 204})
}

// follows compares an answer with the document.
func (s *shop) follows(route string, resp *http.Response, data []byte) {
	s.t.Helper()
	if route == "GET /openapi.json" {
		return
	}
	method, path, _ := strings.Cut(route, " ")
	item := s.api.huma.OpenAPI().Paths[path]
	op := map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete}[method]
	documented := op.Responses[strconv.Itoa(resp.StatusCode)]
	if documented == nil {
		documented = op.Responses["default"]
	}
	if documented == nil {
		s.t.Errorf("%s: status %d is not in the document", route, resp.StatusCode)
		return
	}
	if len(documented.Content) == 0 && len(data) == 0 {
		return
	}
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	content := documented.Content[media]
	if err != nil || content == nil {
		s.t.Errorf("%s: content %q is not in the document", route, resp.Header.Get("Content-Type"))
		return
	}
	values := [][]byte{data}
	if media == "text/event-stream" {
		values = nil
		for line := range bytes.Lines(data) {
			if value, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				values = append(values, value)
			}
		}
		if len(values) == 0 {
			s.t.Errorf("%s: no events", route)
		}
	}
	if content.Schema == nil {
		return
	}
	for _, value := range values {
		s.valid(route, content.Schema, value)
	}
}

func (s *shop) valid(route string, schema *huma.Schema, data []byte) {
	s.t.Helper()
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		s.t.Errorf("%s: %v in %s", route, err, data)
		return
	}
	reg := s.api.huma.OpenAPI().Components.Schemas
	for _, known := range reg.Map() {
		known.PrecomputeMessages()
	}
	res := &huma.ValidateResult{}
	huma.Validate(reg, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, value, res)
	for _, err := range res.Errors {
		s.t.Errorf("%s: the answer is not as the document says: %v\n%.2000s", route, err, data)
	}
}
