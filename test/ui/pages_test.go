//go:build uitest

package ui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// judged looks at the open page in both schemes, wide and at 320 pixels.
func (b *browser) judged(name string) {
	b.t.Helper()
	for _, how := range []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 320}, {"dark", 320}} {
		b.look(how.scheme, how.width)
		for _, wrong := range eval[[]string](b, judge) {
			b.t.Errorf("%s, %s, %d: %s", name, how.scheme, how.width, wrong)
		}
		b.shoot(name + "-" + how.scheme + "-" + map[bool]string{true: "wide", false: "narrow"}[how.width > 600])
	}
	b.look("light", 1280)
	for _, wrong := range eval[[]string](b, focusOrder) {
		b.t.Errorf("%s: %s", name, wrong)
	}
}

func (b *browser) login(w *world) {
	b.t.Helper()
	b.do(chromedp.Navigate(w.url + "/"))
	b.until("the form to log in is there", "location.pathname === '/login'")
	b.do(chromedp.SendKeys("#token", w.token))
	b.press("Log in")
	b.until("logged in", "location.pathname === '/' && document.querySelector('.cards')")
}

const ended = "document.querySelector('.timeline') && !document.querySelector('[data-stream]')"

// The story of one operator's night, from login to what was held being settled.
func TestOneNight(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.look("light", 1280)
	b.login(w)
	b.judged("deployments-before")

	// A backup that is watched to its end.
	w.write("shop/db/slow", "", 0o600)
	b.press("Back up")
	b.until("the run is shown", "location.pathname.startsWith('/runs/') && document.querySelector('.picture')")
	run := eval[string](b, "location.pathname")
	b.until("the picture moves to the work stage by itself", `document.querySelector('[data-k="s-work"]').dataset.s === 'running'`)
	b.until("the lock window counts", `document.querySelector('[data-k=lock]').dataset.s === 'locked' && /\d:0[2-9]/.test(document.querySelector('[data-k=lock] .c').textContent)`)
	if open := eval[int](b, "document.querySelectorAll('.barrier[data-s=open]').length"); open == 0 {
		t.Error("no barrier is open although the work stage runs")
	}
	if closed := eval[int](b, "document.querySelectorAll('.barrier[data-s=closed]').length"); closed == 0 {
		t.Error("no barrier is closed although nothing was unlocked")
	}
	b.judged("run-working")
	w.remove("shop/db/slow")
	b.until("it has ended", ended)
	if got := eval[string](b, "document.querySelector('.head .badge').textContent"); got != "succeeded" {
		t.Fatalf("it ended %s", got)
	}
	b.judged("run-succeeded")
	b.do(chromedp.Navigate(w.url + run + "/output/db/0/postgres/backup"))
	if got := eval[string](b, "document.querySelector('.printed').textContent"); got != "<script>alert(1)</script>\n" {
		t.Errorf("what the script printed: %q", got)
	}
	b.judged("output")

	// One that is canceled: everything is unlocked all the same.
	w.write("shop/db/slow", "", 0o600)
	b.do(chromedp.Navigate(w.url + "/deployments/shop"))
	b.judged("deployment")
	b.press("Back up")
	b.until("it works", `document.querySelector('[data-k="s-work"]')?.dataset.s === 'running'`)
	b.press("Cancel the run")
	b.until("it has ended", ended)
	if got := eval[string](b, "document.querySelector('.head .badge').textContent"); got != "canceled" {
		t.Errorf("it ended %s", got)
	}
	if w.exists("shop/db/locked") || w.exists("shop/web/locked") {
		t.Error("a canceled run left something locked")
	}
	w.remove("shop/db/slow")
	b.judged("run-canceled")

	// A restore, by typing the name.
	before, err := os.ReadFile(filepath.Join(w.dir, "shop/db/data"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("shop/db/data", "lost", 0o644)
	b.restore(w, "")
	b.until("it has ended", ended)
	if got, _ := os.ReadFile(filepath.Join(w.dir, "shop/db/data")); string(got) != string(before) {
		t.Error("the data is not back")
	}
	b.judged("run-restored")

	// One that fails and holds: said on every page, and settled from there.
	w.write("shop/db/broken", "", 0o600)
	b.restore(w, "restore-")
	b.until("it has ended", ended)
	b.until("the banner is there", "document.querySelector('.held')")
	b.judged("run-held")
	for _, path := range []string{"/", "/runs", "/backups", "/schedules", "/audit", "/approvals"} {
		b.do(chromedp.Navigate(w.url + path))
		if !eval[bool](b, "!!document.querySelector('.held')") {
			t.Errorf("%s does not say what is held", path)
		}
		b.judged("held-" + strings.Trim(path, "/"))
	}
	w.remove("shop/db/broken")
	b.press("Clean up shop")
	b.until("it has ended", ended)
	b.until("nothing is held any more", "!document.querySelector('.held')")
	if w.exists("shop/db/locked") || w.exists("shop/web/locked") {
		t.Error("something is still locked")
	}
	b.do(chromedp.Navigate(w.url + "/deployments/shop/plan"))
	b.press("Make the plan")
	b.until("the plan is shown", "document.querySelector('.waves')")
	b.judged("plan")

	b.press("Log out")
	b.until("logged out", "location.pathname === '/login'")
	b.judgedDoor()
	b.silent()
}

// restore goes from the deployment to the restore of its last backup.
func (b *browser) restore(w *world, shots string) {
	b.t.Helper()
	b.do(chromedp.Navigate(w.url + "/deployments/shop"))
	b.press("Restore the last backup")
	b.until("the form is there", "location.pathname.endsWith('/restore')")
	b.press("Show what it would replace")
	b.until("it shows what it would replace", "document.querySelector('form[action=\"/restores\"]')")
	if eval[bool](b, "!document.querySelector('form[action=\"/restores\"] button').disabled") {
		b.t.Error("it can be begun before the name was typed")
	}
	if shots != "" {
		b.judged(shots + "preview")
	}
	b.do(chromedp.SendKeys("[name=typed]", "shop"))
	b.press("Restore shop")
	b.until("the run is shown", "location.pathname.startsWith('/runs/')")
}

// judgedDoor looks at the form to log in; it has no skip link, for it has
// nothing to skip.
func (b *browser) judgedDoor() {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.look(scheme, 320)
		for _, wrong := range eval[[]string](b, judge) {
			b.t.Errorf("login, %s: %s", scheme, wrong)
		}
		b.shoot("login-" + scheme)
	}
}

// Without the script everything can be read and done.
func TestWithoutScript(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.withoutScript()
	b.look("light", 1280)
	b.login(w)
	b.press("Back up")
	b.until("the run is shown", "location.pathname.startsWith('/runs/')")
	for range 100 {
		b.do(chromedp.Reload())
		if eval[bool](b, "!!("+ended+")") {
			break
		}
	}
	if got := eval[string](b, "document.querySelector('.head .badge').textContent"); got != "succeeded" {
		t.Errorf("it ended %s", got)
	}
	b.silent()
}
