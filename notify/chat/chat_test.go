package chat

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/egress"
)

var guard = egress.Guard{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

var nasty = lockstep.Notice{
	ID: "1", Kind: lockstep.NoticeHeld, Time: time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC), Deployment: `sh"op`,
	Title: "<!channel> \"quoted\" \\ back\nline", Text: "a & b", Held: []string{"db/0/postgres", "db/1/postgres"}, Hint: "`lockstep cleanup shop`",
	URL: "https://example.com/runs/1?a=b&c=d",
}

func TestSend_MakesWhatTheChatTakes(t *testing.T) {
	for style, want := range map[string][]string{
		"slack": {`"text":"\u0026lt;!channel\u0026gt;`, "db/0/postgres, db/1/postgres", `"plain_text"`, "#b00020"},
		"teams": {"application/vnd.microsoft.card.adaptive", "attention", "db/0/postgres, db/1/postgres", "Action.OpenUrl"},
	} {
		t.Run(style, func(t *testing.T) {
			var body []byte
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }))
			defer server.Close()
			s, err := New(Config{URL: server.URL + "/T0/token", Style: style, Guard: guard, PlainHTTP: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []lockstep.Notice{{ID: "0", Title: "nothing but a title"}, nasty} {
				if err := s.Send(context.Background(), n); err != nil {
					t.Fatal(err)
				}
			}
			var any map[string]any
			if err := json.Unmarshal(body, &any); err != nil {
				t.Fatal(err)
			}
			compact, _ := json.Marshal(any)
			for _, w := range want {
				if !strings.Contains(string(compact), w) {
					t.Errorf("no %s in %s", w, compact)
				}
			}
			if strings.Contains(s.Target(), "token") {
				t.Errorf("the target tells the address: %s", s.Target())
			}
		})
	}
}

func TestNew_TriesTheTemplate(t *testing.T) {
	for template, ok := range map[string]bool{
		`{"msg": {{json .Title}}}`: true,
		`{"msg": "{{.Title}}"}`:    false, // a quote in a title breaks it
		`{{.NoSuchField}}`:         false,
		`{{`:                       false,
		`not JSON`:                 false,
	} {
		if _, err := New(Config{URL: "https://example.com/", Template: template}); (err == nil) != ok {
			t.Errorf("%s: %v", template, err)
		}
	}
	if _, err := New(Config{URL: "https://example.com/", Style: "../slack"}); err == nil {
		t.Error("a style that is not a style is taken")
	}
}
