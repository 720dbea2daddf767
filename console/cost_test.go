package console_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/console"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// formFields are the names of all fields of all forms.
func formFields(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob("*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`<(?:input|select|textarea)[^>]* name="([a-z_]+)"`).FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// worstForms are forms of a size that are as costly as can be.
func worstForms(t *testing.T, size int) map[string]string {
	t.Helper()
	fields := formFields(t)
	each := size/len(fields) - 30
	fill := func(text string) string {
		var parts []string
		for _, name := range fields {
			parts = append(parts, name+"="+strings.Repeat(text, each/len(text)))
		}
		return strings.Join(parts, "&")
	}
	forms := map[string]string{
		"unknown names": strings.Repeat("u=&", size/3-1), "long texts": fill("x"), "escaped texts": fill("%61"), "lines": fill("a%3Db%0A"),
		"words": fill("a:b+"), "periods": fill("2%3F%2B"),
	}
	for _, name := range fields {
		forms[name+" many times"] = strings.Repeat(name+"=a&", size/(len(name)+3)-1)
	}
	return forms
}

// Guarantees the law of cost for forms: what a stranger or a member sends to any
// of them costs at most 2.5 times what half of it costs, where that is measurable,
// and no more than hashing a password and 50 ms of a core.
//
//nolint:paralleltest // it measures the whole process
func TestLawOfCostOfForms(t *testing.T) {
	const tellsGrowth = 5 * time.Millisecond // a full size below it is too quick to tell how it grows
	s := newServer(t)
	ada := s.signUp(t, "ada@example.com")
	organization, project, handle := ada.project(t, "Acme", "Payments")
	key, _, err := handle.CreateKey(t.Context(), domain.KeySpec{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := console.Handler(s.App, console.Config{PublicURL: s.URL, Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.NewReplacer(":organization", string(organization.ID), ":project", string(project.ID), ":key", string(key.ID),
		":user", ada.caller.Actor().ID, ":session", "ses_01kjpy44e0exq894z60yz3b674", ":invitation", "inv_01kjpy44e0exq894z60yz3b674")
	send := func(path, cookie, body string, status *int) func() {
		return func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if cookie != "" {
				r.AddCookie(&http.Cookie{Name: "latchkey_session", Value: cookie})
			}
			w := httptest.NewRecorder()
			pages.ServeHTTP(w, r)
			*status = w.Code
		}
	}
	half, full := worstForms(t, 32<<10), worstForms(t, 63<<10)
	routes := pages.(interface{ Routes() []*echo.Route }).Routes()
	tried := 0
	for _, route := range routes {
		if route.Method != http.MethodPost || strings.HasSuffix(route.Path, "/delete") || strings.HasSuffix(route.Path, "/sign-out") {
			continue // what has ended cannot be measured again
		}
		for kind, body := range full {
			for caller, cookie := range map[string]string{"a stranger": "", "a member": ada.cookie} {
				tried++
				path := ids.Replace(route.Path)
				var statusOfHalf, status int
				cheap := func(half, full time.Duration) bool {
					alike := statusOfHalf == status // a page that says what is wrong costs more than a redirect
					return full < tellsGrowth || full < 150*time.Millisecond && (!alike || float64(full) <= 2.5*float64(half))
				}
				enough := func(rounds int, half, full time.Duration) bool {
					return full < tellsGrowth || rounds >= 5 && cheap(half, full)
				}
				sendHalf, sendFull := send(path, cookie, half[kind], &statusOfHalf), send(path, cookie, body, &status)
				leastHalf, leastFull := servicetest.LeastCPU(t, sendHalf, sendFull, enough)
				if !cheap(leastHalf, leastFull) {
					t.Errorf("%s by %s, %s: %v of a core, half of it %v", route.Path, caller, kind, leastFull, leastHalf)
				}
			}
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/console/account", nil)
	r.AddCookie(&http.Cookie{Name: "latchkey_session", Value: ada.cookie})
	w := httptest.NewRecorder()
	if pages.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("the member is signed in no longer: got %d", w.Code)
	}
	if tried < 500 {
		t.Errorf("only %d forms were tried", tried)
	}
}
