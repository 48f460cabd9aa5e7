//go:build uitest

package ui_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// fill writes into a field of the form.
func (b *browser) fill(name, text string) {
	b.t.Helper()
	at := `[name="` + name + `"]`
	eval[bool](b, "(document.querySelector('"+at+"').value = '', true)")
	b.do(chromedp.SendKeys(at, text))
}

// What an admin looks after on the pages: schedules and tokens.
func TestSchedulesAndTokens(t *testing.T) {
	w, b := newWorld(t), newBrowser(t)
	b.look("light", 1280)
	b.login(w)
	b.schedules(w)
	b.tokens(w)
	b.silent()
}

func (b *browser) schedules(w *world) {
	b.t.Helper()
	b.do(chromedp.Navigate(w.url + "/schedules"))
	b.press("New schedule")
	b.until("the form is there", "location.pathname === '/new/schedule'")
	b.judged("schedule-new")
	b.fill("name", "tidy")
	b.do(chromedp.SendKeys("[name=operation]", "delete")) // chooses what begins so
	b.fill("cron", "61 4 * * SUN")
	b.fill("zone", "Europe/Berlin")
	b.fill("keep_daily", "7")
	b.press("Make the schedule")
	b.until("it says what is wrong", "document.querySelector('.trouble')?.textContent.includes('61')")
	b.holds("what was written is still there", "document.querySelector('[name=keep_daily]').value === '7' && document.querySelector('[name=operation]').value === 'forget'")
	b.judged("schedule-wrong")
	b.forgive("400 (Bad Request)")
	b.fill("cron", "0 4 * * SUN")
	b.press("Make the schedule")
	b.until("the schedule is shown", "location.pathname === '/schedules/tidy'")
	b.holds("it says what it keeps, and when it is due next", "document.body.innerText.includes('one of each of the last 7 days') && /Sun .* 04:00:00 CES?T/.test(document.body.innerText)")
	b.judged("schedule")
	b.press("Pause")
	b.until("it is paused", "document.querySelector('.head .badge')?.textContent === 'paused'")
	b.judged("schedule-paused")
	b.press("Resume")
	b.until("it is not paused", "!document.querySelector('.head .badge')")
	b.press("Change")
	b.until("the form is there", "location.pathname === '/schedules/tidy/change'")
	b.fill("keep_daily", "14")
	b.press("Change the schedule")
	b.until("it is changed", "location.pathname === '/schedules/tidy' && document.body.innerText.includes('the last 14 days')")
	b.do(chromedp.Navigate(w.url + "/schedules"))
	b.judged("schedules")
	b.do(chromedp.Navigate(w.url + "/schedules/shop")) // of the configuration
	b.press("Run now")
	b.until("what became of it is shown", "document.querySelector('.list tbody a[href^=\"/runs/\"]')")
	b.judged("schedule-configured")
	b.do(chromedp.Navigate(w.url + "/schedules/tidy"))
	b.press("Delete")
	b.until("it is asked first", "location.pathname === '/schedules/tidy/delete'")
	b.judged("schedule-delete")
	b.press("Delete the schedule")
	b.until("it is gone", "location.pathname === '/schedules' && !document.body.innerText.includes('tidy')")
}

func (b *browser) tokens(w *world) {
	b.t.Helper()
	b.press("Tokens")
	b.until("the tokens are shown", "location.pathname === '/tokens'")
	b.press("New token")
	b.until("the form is there", "location.pathname === '/new/token'")
	b.judged("token-new")
	b.fill("name", "eve")
	b.do(chromedp.Click(`input[value="viewer"]`))
	b.fill("on_viewer", "shop")
	b.press("Make the token")
	b.until("the secret is shown", "document.querySelector('.secret')")
	b.judged("token-made")
	secret := strings.TrimSpace(eval[string](b, "document.querySelector('.secret').textContent"))
	b.do(chromedp.Navigate(w.url + "/tokens"))
	b.judged("tokens")
	b.holds("the secret is not shown again", "!document.body.innerText.includes('"+secret+"')")
	b.press("Log out")
	b.until("logged out", "location.pathname === '/login'")
	w.token, secret = secret, w.token
	b.login(w)
	b.holds("a viewer is offered nothing that changes anything", `[...document.querySelectorAll('form')].every((f) => f.getAttribute('action') === '/logout')`)
	b.judged("viewer")
	b.do(chromedp.Navigate(w.url + "/deployments/shop"))
	b.judged("viewer-deployment")
	b.press("Log out")
	b.until("logged out", "location.pathname === '/login'")
	w.token = secret
	b.login(w)
	b.do(chromedp.Navigate(w.url + "/tokens"))
	b.press("eve")
	b.until("the token is shown", "location.pathname.startsWith('/tokens/')")
	b.press("Revoke it")
	b.until("it has ended", "location.pathname === '/tokens' && document.querySelector('details')")
	b.judged("tokens-revoked")
}
