package console_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is how long a step in the browser may take before it counts as
// failed. It is an upper bound on a busy machine, not a wait.
const patience = time.Minute

// browser is the one Chromium that all tests share.
var browser = sync.OnceValues(func() (context.Context, error) {
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return nil, fmt.Errorf("the tests of the console need a browser: install Chromium (Debian: apt-get install chromium)")
	}
	profile, err := os.MkdirTemp("", "latchkey-chromium-")
	if err != nil {
		return nil, err
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
	}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	endBrowser = func() {
		cancel()
		stop()
		_ = os.RemoveAll(profile) // it is in the folder for temporary files
	}
	return ctx, chromedp.Do(ctx)
})

var endBrowser = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	endBrowser()
	os.Exit(code)
}

// tab is a separate browser: it shares no cookie with other tabs.
type tab struct {
	t      *testing.T
	server *server
	ctx    context.Context //nolint:containedctx // chromedp's handle for a tab is a context
}

// newTab opens a tab and fails the test when a page breaks its content policy
// or a script of it fails.
func newTab(t *testing.T, s *server) *tab {
	t.Helper()
	shared, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := chromedp.NewContext(shared, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	b := &tab{t, s, ctx}
	b.do(chromedp.Do(ctx))
	messages := chromedp.Console(ctx)
	go func() {
		for message, err := range messages {
			if err != nil {
				return
			}
			if text := message.String(); message.IsException() || strings.Contains(text, "Content Security Policy") {
				t.Errorf("the page says: %s", text)
			}
		}
	}()
	return b
}

func (b *tab) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%v\nat %s", err, b.where())
	}
}

// within bounds a step.
func (b *tab) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, patience)
}

// where says what the browser shows, for a failure's report.
func (b *tab) where() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// withoutScripts turns JavaScript off.
func (b *tab) withoutScripts() {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.do(err)
}

// signedIn gives the browser the session of p.
func (b *tab) signedIn(p person) *tab {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, network.SetCookie, network.SetCookieParams{Name: "latchkey_session", Value: p.cookie, URL: b.server.URL})
	b.do(err)
	return b
}

// open goes to a page and returns its status.
func (b *tab) open(path string) int64 {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	response, err := chromedp.RunResponse(ctx, chromedp.Navigate(b.server.URL+path))
	b.do(err)
	return response.Status
}

// fill types into the field with that id.
func (b *tab) fill(id, value string) *tab {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	field := chromedp.CSS("#" + id)
	b.do(chromedp.Do(ctx, chromedp.Clear(field), chromedp.SendKeys(field, value)))
	return b
}

// choose sets a select to the option with that value, as a person would.
func (b *tab) choose(id, value string) *tab {
	b.t.Helper()
	b.eval(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q;
		for (const n of ["input", "change"]) e.dispatchEvent(new Event(n, {bubbles: true})) }`, id, value))
	return b
}

// press clicks on the first visible link, button or summary whose text is, or
// starts with, text. It does not wait for anything.
func (b *tab) press(text string) *tab {
	b.t.Helper()
	quoted := "'" + text + "'"
	return b.click(fmt.Sprintf(
		`(//*[self::a or self::button or self::summary][starts-with(normalize-space(.), %s)
			or .//*[self::h3 or self::span][normalize-space(.)=%s]])[1]`,
		quoted, quoted))
}

// click clicks on the visible element that an XPath names.
func (b *tab) click(path string) *tab {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	b.do(chromedp.Do(ctx, chromedp.Click(path, chromedp.NodeVisible)))
	return b
}

// follow presses and waits for the page that this leads to.
func (b *tab) follow(text string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Func(func(context.Context, *chromedp.Target) error {
		b.press(text)
		return nil
	}))
	b.do(err)
}

// reload loads the page again; when it answered a form, the form is sent again.
func (b *tab) reload() {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	_, err := chromedp.RunResponse(ctx, chromedp.Reload())
	b.do(err)
}

// text returns what the first element that matches shows, once it is there.
func (b *tab) text(selector string) string {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
	b.do(err)
	return strings.TrimSpace(text)
}

// waits until a JavaScript expression is true.
func (b *tab) waits(expression string) {
	b.t.Helper()
	ctx, cancel := b.within()
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression))
	for err != nil && ctx.Err() == nil { // the page it was asked of has made way for the next
		_, err = chromedp.Run(ctx, chromedp.Poll[bool](expression))
	}
	b.do(err)
}

// shows waits until the page shows text.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.waits(fmt.Sprintf(`document.body.innerText.includes(%q)`, text))
}

// hides fails when the page, as it is now, shows text.
func (b *tab) hides(text string) {
	b.t.Helper()
	if strings.Contains(b.where(), text) {
		b.t.Fatalf("the page shows %q:\n%s", text, b.where())
	}
}

// source is the page as the browser holds it.
func (b *tab) source() string {
	b.t.Helper()
	html, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`))
	b.do(err)
	return html
}

// evaluated returns the text that a JavaScript expression gives.
func (b *tab) evaluated(expression string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expression))
	b.do(err)
	return text
}

func (b *tab) eval(expression string) {
	b.t.Helper()
	b.do(chromedp.Do(b.ctx, chromedp.Evaluate[chromedp.Void](expression)))
}
