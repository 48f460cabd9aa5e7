//go:build uitest

package ui_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// judged looks at the open page in both schemes, wide and as on phones.
func (b *browser) judged(name string) {
	b.t.Helper()
	for _, how := range []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 390}, {"dark", 390}, {"light", 320}} {
		b.look(how.scheme, how.width)
		for _, wrong := range eval[[]string](b, judge) {
			b.t.Errorf("%s, %s, %d: %s", name, how.scheme, how.width, wrong)
		}
		b.shoot(name + "-" + how.scheme + "-" + strconv.FormatInt(how.width, 10))
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

// backUp goes from a page with the deployment to a backup of it, past what it locks.
func (b *browser) backUp() {
	b.t.Helper()
	b.press("Back up shop")
	b.until("it is asked first", "location.pathname === '/deployments/shop/backup'")
	b.press("Back up shop now")
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
	b.backUp()
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
	b.backUp()
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

	// What it locks is said first; a plan that was looked at is the one that runs.
	b.do(chromedp.Navigate(w.url + "/deployments/shop/backup"))
	if got := eval[string](b, "[...document.querySelectorAll('.locks li li')].map((e) => e.textContent).join(' ')"); got != "web/0/web db/0/postgres" {
		t.Errorf("before a backup it says that it locks %q", got)
	}
	b.judged("before")
	b.press("Ask the instances first")
	b.until("the plan is shown", "document.querySelector('.waves')")
	b.judged("plan")
	b.press("Back up by this plan now")
	b.until("it has ended", ended)
	if got := eval[string](b, "document.querySelector('.head .badge').textContent"); got != "succeeded" {
		t.Errorf("a backup of the plan that was shown ended %s", got)
	}

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

	// What there is of a backup, and what is asked before it is deleted.
	b.do(chromedp.Navigate(w.url + "/backups"))
	b.press("shop_")
	b.until("the backup is shown", "location.pathname.startsWith('/backups/shop_')")
	b.press("Verify")
	b.until("it was read again", "document.body.innerText.includes('all as it was proven')")
	b.judged("backup")
	shown := eval[string](b, "location.pathname")
	b.press("db-0-postgres")
	b.until("its files are shown", "location.pathname.endsWith('/files/db-0-postgres') && document.body.innerText.includes('data')")
	b.judged("files")
	b.do(chromedp.Navigate(w.url + shown + "/changes"))
	b.until("what changed is shown", "document.body.innerText.includes('What changed')")
	b.judged("changes")
	b.do(chromedp.Navigate(w.url + shown))
	b.press("Forget")
	b.until("it is asked first", "location.pathname.endsWith('/forget')")
	b.judged("forget")
	b.do(chromedp.Navigate(w.url + "/backups/none"))
	b.judged("error")
	b.forgive("404 (Not Found)")

	// One that fails and holds: said on every page, and settled from there.
	w.write("shop/db/broken", "", 0o600)
	b.restore(w, "restore-")
	b.until("it has ended", ended)
	b.until("the banner is there", "document.querySelector('.held')")
	b.judged("run-held")
	b.press("It is unlocked already")
	b.until("it is asked how that is known", "location.pathname.endsWith('/acknowledge')")
	b.judged("acknowledge")
	for _, path := range []string{"/", "/runs", "/backups", "/schedules", "/audit", "/approvals"} {
		b.do(chromedp.Navigate(w.url + path))
		if !eval[bool](b, "!!document.querySelector('.held')") {
			t.Errorf("%s does not say what is held", path)
		}
		b.judged("held-" + strings.Trim(path, "/"))
		if path == "/audit" {
			b.holds("no word of the audit log is broken, and all of it is in the page", `document.querySelector('.records').scrollWidth <= document.querySelector('.table-room').clientWidth &&
				(() => { // each word that is not of a detail is on one line
					for (const walk = document.createTreeWalker(document.querySelector('.records tbody'), NodeFilter.SHOW_TEXT); walk.nextNode();) {
						const r = document.createRange(), text = walk.currentNode;
						if (!text.data.trim() || text.parentElement.closest('.wide')) continue;
						r.selectNodeContents(text);
						if (new Set([...r.getClientRects()].filter((x) => x.width).map((x) => x.top)).size > 1) return false;
					}
					return true;
				})()`)
		}
	}
	b.foldedNavigation()
	w.remove("shop/db/broken")
	b.press("Clean up shop")
	b.until("it has ended", ended)
	b.until("nothing is held any more", "!document.querySelector('.held')")
	if w.exists("shop/db/locked") || w.exists("shop/web/locked") {
		t.Error("something is still locked")
	}
	b.do(chromedp.Navigate(w.url + "/"))
	if got := eval[string](b, "document.querySelector('.history-legend').innerText"); !strings.Contains(got, "ended well") || !strings.Contains(got, "median") {
		t.Errorf("the legend of the lock windows says %q", got)
	}
	b.do(chromedp.Navigate(w.url + "/runs?operation=restore"))
	b.holds("first errors have at most two lines", `[...document.querySelectorAll('.two-lines')].some((e) => e.textContent.length > 20) &&
		[...document.querySelectorAll('.two-lines')].every((e) => e.getBoundingClientRect().height <= 2.1 * parseFloat(getComputedStyle(e).lineHeight))`)

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
	if shots != "" {
		b.judged(shots + "form")
		b.do(chromedp.Click(`[name=jobs][value=blobs]`), chromedp.Click(`[name=instances][value="files/0"]`))
		b.holds("whoever takes a tick away means what is ticked", "document.querySelector('[name=scope]:checked').value === 'ticked'")
	}
	b.press("Show what it would replace")
	b.until("it shows what it would replace", "document.querySelector('form[action=\"/restores\"]')")
	if eval[bool](b, "!document.querySelector('form[action=\"/restores\"] button').disabled") {
		b.t.Error("it can be begun before the name was typed")
	}
	if shots != "" {
		b.holds("only what is ticked would be replaced", "document.querySelector('.list tbody').innerText.includes('db-0-postgres') && !document.querySelector('.list tbody').innerText.includes('blobs')")
		b.judged(shots + "preview")
	}
	b.do(chromedp.SendKeys("[name=typed]", "shop"))
	b.press("Restore shop")
	b.until("the run is shown", "location.pathname.startsWith('/runs/')")
}

// foldedNavigation looks at the navigation on a phone: it is folded, its button
// opens it, and what is in it leads somewhere.
func (b *browser) foldedNavigation() {
	b.t.Helper()
	const shown = "document.getElementById('nav').checkVisibility()"
	b.holds("the navigation is there on a wide screen", shown+" && !document.querySelector('.menu').checkVisibility()")
	b.look("light", 390)
	b.holds("the navigation is folded on a phone", "!"+shown)
	b.press("Menu")
	b.until("the navigation is open", shown)
	b.shoot("menu")
	b.holds("it is no wider than the page", "document.documentElement.scrollWidth <= innerWidth && document.getElementById('nav').getBoundingClientRect().width <= innerWidth")
	b.press("Runs")
	b.until("the runs are shown", "location.pathname === '/runs'")
	b.holds("the navigation is folded again", "!"+shown)
	b.look("light", 1280)
}

// holds asserts what an expression says of the page.
func (b *browser) holds(what, expression string) {
	b.t.Helper()
	if !eval[bool](b, "!!("+expression+")") {
		b.t.Errorf("not so: %s\nat %s", what, eval[string](b, "location.href"))
	}
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
	b.backUp()
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
	b.do(chromedp.Navigate(w.url + "/new/schedule"))
	b.do(chromedp.SendKeys("[name=name]", "night"), chromedp.SendKeys("[name=cron]", "@daily"))
	b.press("Make the schedule")
	b.until("the schedule is shown", "location.pathname === '/schedules/night'")
	b.press("Pause")
	b.until("it is paused", "document.querySelector('.head .badge')?.textContent === 'paused'")
	b.look("light", 390)
	b.press("Menu")
	b.press("Backups")
	b.until("the navigation leads somewhere", "location.pathname === '/backups'")
	b.silent()
}
