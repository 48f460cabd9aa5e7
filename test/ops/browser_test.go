//go:build opstest

package ops

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// lookAtThePage opens the server's page in a browser and logs in. A picture of it
// is kept where LOCKSTEP_OPS_SHOTS says.
func lookAtThePage(t *testing.T, token string) {
	t.Helper()
	program := os.Getenv("LOCKSTEP_OPS_CHROMIUM")
	if program == "" {
		t.Log("*** the page was not looked at: there is no chromium ***")
		return
	}
	// The name is resolved here, and whoever signed the certificate is believed:
	// that it is right, the command line has found before.
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.NoSandbox, chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP backup.example.com "+orchestratorAddress))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	defer stop()
	tab, leave := chromedp.NewContext(alloc)
	defer leave()
	defer func() { _ = chromedp.Cancel(tab) }()

	ctx, end := context.WithTimeout(tab, patience)
	defer end()
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900), chromedp.Navigate("https://backup.example.com:7420/")); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "location.pathname === '/login'")
	if err := chromedp.Do(ctx, chromedp.SendKeys("#token", token)); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "[...document.querySelectorAll('button')].find(e => e.textContent.trim() === 'Log in').click(), true")
	waitFor(ctx, t, "location.pathname === '/' && document.querySelector('.cards')")
	waitFor(ctx, t, "document.querySelector('.cards').textContent.includes('shop')")
	shoot(ctx, t, "deployments")
	if err := chromedp.Do(ctx, chromedp.Navigate("https://backup.example.com:7420/deployments/shop")); err != nil {
		t.Fatal(err)
	}
	waitFor(ctx, t, "document.body.textContent.includes('verified')")
	shoot(ctx, t, "deployment")
}

func waitFor(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	for ctx.Err() == nil {
		if yes, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err == nil && yes {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	text, err := chromedp.Run(context.WithoutCancel(ctx), chromedp.Evaluate[string]("location.href + ' ' + document.body.innerText.slice(0, 1500)"))
	t.Fatalf("never: %s\nat %s %v", expression, text, err)
}

func shoot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("LOCKSTEP_OPS_SHOTS")
	if folder == "" {
		return
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
