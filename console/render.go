package console

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/site"
)

// pages holds the templates. Those whose names start with "page " fill the layout.
type pages struct {
	*template.Template

	prefixed *strings.Replacer // puts the site's path before the links of a page
}

// parse reads all templates.
func (c *console) parse() (pages, error) {
	all, err := template.New("").Funcs(c.functions()).ParseFS(templates, "*.html")
	return pages{all, belowPrefix(c.site)}, err
}

// write sends the whole page or nothing: an error in a template returns an error
// instead of half a page.
func (p pages) write(w *echo.Response, status pageStatus, name string, data layout) error {
	var main, body bytes.Buffer
	if err := p.ExecuteTemplate(&main, "page "+name, data); err != nil {
		return err
	}
	data.Main = template.HTML(main.String()) //nolint:gosec // a template has just escaped it
	if err := p.ExecuteTemplate(&body, "layout", data); err != nil {
		return err
	}
	problem.SetRetryAfter(w.Header(), status.code, status.wait)
	w.WriteHeader(status.code)
	if w.Status == http.StatusNoContent {
		return nil
	}
	_, err := p.prefixed.WriteString(w, visible(body.String()))
	return err
}

// visible shows as escapes, such as \u202e, what would change the text around a
// name. New names have no such characters, but 0.1 stored them, and metadata may
// have them. It works on the finished page, so that no template can forget it.
func visible(page string) string {
	hidden := func(r rune) bool { return domain.IsDisruptive(r) && !strings.ContainsRune("\r\n\t", r) }
	if !strings.ContainsFunc(page, hidden) {
		return page
	}
	var b strings.Builder
	for _, r := range page {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// belowPrefix returns a replacer that puts the path of the site before the links of
// a page. It works on the finished page, so that no template can forget it. Only
// attributes written in templates match: everywhere else, quotation marks are escaped.
func belowPrefix(at site.Site) *strings.Replacer {
	var pairs []string
	for _, attribute := range []string{"href", "src", "action", "formaction", "hx-get", "hx-post", "hx-push-url"} {
		pairs = append(pairs, " "+attribute+`="/`, " "+attribute+`="`+at.Path("/"))
	}
	return strings.NewReplacer(pairs...)
}

func (c *console) functions() template.FuncMap {
	return template.FuncMap{
		"static":            c.static.url,
		"organizationURL":   organizationURL,
		"projectURL":        projectURL,
		"keyURL":            keyURL,
		"planURL":           planURL,
		"serviceAccountURL": serviceAccountURL,
		"customerURL":       customerURL,
		"number":            number,
		"signed":            signed,
		"limitWords":        limitWords,
		"moment":            func(t time.Time) moment { return newMoment(c.app.Now(), t) },
		"until":             func(t time.Time) string { return span(t.Sub(c.app.Now())) },
		"rfc3339":           func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"status":            func(k domain.Key) domain.KeyStatus { return k.Status(c.app.Now()) },
		"live":              func(r domain.Retiring) bool { return r.Live(c.app.Now()) },
		"count":             count,
		"first":             func(n int, items []domain.Scope) []domain.Scope { return items[:min(n, len(items))] },
		"more":              func(n int, items []domain.Scope) int { return len(items) - n },
		"joined":            joined[domain.Scope],
		"title":             title,
		"words":             words,
		"shown":             shown,
		"changes":           changes,
		"initial":           initial,
		"device":            device,
		"statuses": func() []domain.KeyStatus {
			return []domain.KeyStatus{domain.KeyActive, domain.KeyExpired, domain.KeyRevoked}
		},
		"environments": func() []domain.Environment { return []domain.Environment{domain.Live, domain.Test} },
		"snippet":      func(id, text string) map[string]string { return map[string]string{"ID": id, "Text": text} },
		"callLine":     c.callLine,
		"verifyLine":   c.verifyLine,
		"settingsForms": func(url, kind, name string, page settingsPage) map[string]any {
			return map[string]any{"URL": url, "Kind": kind, "Name": name, "Page": page}
		},
		"keyFields": func(f form, scopes []scopeChoice, plans []domain.Plan, isNew bool, expiry string) map[string]any {
			return map[string]any{
				"Form": f, "Scopes": scopes, "Plans": plans, "New": isNew, "Expiry": expiry,
				"Open": slices.ContainsFunc([]string{"external_id", "metadata", "allowed_ips"}, func(name string) bool {
					return f.Get(name) != "" || f.Faults[name] != ""
				}),
			}
		},
		"expiryOption": func(k domain.Key) string {
			if k.ExpiresAt.IsZero() {
				return ""
			}
			return "As it is: " + newMoment(c.app.Now(), k.ExpiresAt).Exact
		},
	}
}

// credential returns the header line that carries a key: X-Api-Key, which every
// guide uses, or the header of this instance.
func (c *console) credential(token string) string {
	return cmp.Or(c.config.Header, "X-Api-Key") + ": " + token
}

// callLine returns the first call in every guide. Any valid key may make it.
func (c *console) callLine(token string) string {
	return fmt.Sprintf("curl %s \\\n  --header %q", c.site.URL("/v1/project"), c.credential(token))
}

// verifyLine returns the call that asks whether a key is valid.
func (c *console) verifyLine() string {
	return fmt.Sprintf("curl %s \\\n  --header %q \\\n  --json '{\"key\": \"…\"}'",
		c.site.URL("/v1/keys/verify"), c.credential("$LATCHKEY_API_KEY"))
}

// moment is a time as pages show it: relative, with the exact time on hover.
type moment struct {
	Relative string
	Exact    string
	Machine  string
}

func newMoment(now, t time.Time) moment {
	t = t.UTC()
	m := moment{Exact: t.Format("2 January 2006, 15:04:05 UTC"), Machine: t.Format(time.RFC3339)}
	switch d := t.Sub(now); {
	case d > -45*time.Second && d <= 0:
		m.Relative = "just now"
	case d < 0:
		m.Relative = span(-d) + " ago"
	default:
		m.Relative = "in " + span(d)
	}
	return m
}

// units are the units of span. A unit has a least number, so that 45 days are not
// "1 month". A duration is rounded to a part of the unit, so that a grace of 7 days
// is not "6 days" a second later. console.js has the same list.
var units = []struct {
	size, part time.Duration
	from       time.Duration
	name       string
}{
	{365 * day, 30 * day, 2, "year"}, {30 * day, day, 2, "month"}, {7 * day, day, 2, "week"},
	{day, time.Hour, 1, "day"}, {time.Hour, time.Minute, 1, "hour"}, {time.Minute, time.Second, 1, "minute"},
}

const day = 24 * time.Hour

// span writes a duration in its largest unit: precise enough to decide by, and
// short enough for a column.
func span(d time.Duration) string {
	for _, unit := range units {
		if rounded := d.Round(unit.part); rounded >= unit.from*unit.size { //nolint:durationcheck // from is a number of units
			return count(int(rounded/unit.size), unit.name, unit.name+"s")
		}
	}
	return "a moment"
}

// count returns "1 key", "2,345 keys".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + many
}

func joined[T ~string](items []T, sep string) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = string(item)
	}
	return strings.Join(texts, sep)
}

// title starts a word with a capital letter.
func title(word any) string {
	s := fmt.Sprint(word)
	return strings.ToUpper(s[:1]) + s[1:]
}

// initial returns the letter that represents a person.
func initial(u *domain.User) string {
	for _, r := range u.Name + u.Email {
		return strings.ToUpper(string(r))
	}
	return "?"
}

// device returns a rough name of a browser from its User-Agent, enough to
// know one's own by.
func device(userAgent string) string {
	browser, system := "", ""
	for _, known := range []string{"Edg", "OPR", "Firefox", "Chrome", "Safari", "curl"} {
		if strings.Contains(userAgent, known+"/") {
			browser = known
			break
		}
	}
	for _, known := range []string{"iPhone", "iPad", "Android", "Windows", "Mac OS X", "CrOS", "Linux"} {
		if strings.Contains(userAgent, known) {
			system = known
			break
		}
	}
	browser = strings.NewReplacer("Edg", "Edge", "OPR", "Opera").Replace(browser)
	system = strings.NewReplacer("Mac OS X", "macOS", "CrOS", "ChromeOS").Replace(system)
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser+system != "":
		return browser + system
	case userAgent != "":
		return userAgent
	}
	return "A program"
}

// auditActions are the actions by which an organization's audit log can be filtered.
var auditActions = []string{
	"key.created", "key.updated", "key.rotated", "key.revoked", "key.leaked", "key.deleted", "keys.imported",
	"limit.reset", "limit.given_back", "limit.reached", "credits.granted", "credits.refunded",
	"plan.created", "plan.updated", "plan.deleted",
	"webhook.created", "webhook.updated", "webhook.secret_rotated", "webhook.tested", "webhook.redelivered", "webhook.disabled",
	"webhook.deleted",
	"project.created", "project.updated", "project.suspended", "project.resumed", "project.deleted",
	"organization.created", "organization.updated", "organization.suspended", "organization.resumed",
	"member.joined", "member.updated", "member.removed", "member.left", "invitation.created", "invitation.revoked",
	"service_account.created", "service_account.updated", "service_account.deleted", "service_token.created", "service_token.leaked",
	"service_token.deleted",
}

// accountActions are the actions that concern accounts and no organization, or one
// that is gone.
var accountActions = []string{
	"session.created", "session.refused", "session.ended", "session.revoked", "session.others_revoked", "session.displaced",
	"session.reuse_detected", "user.created", "user.updated", "user.email_verified", "user.password_changed", "user.password_reset",
	"user.reset_link_created", "signing_key.rotated", "node.forgotten", "organization.deleted",
}

// words turns the name of a field or an action, such as expires_at or key.created,
// into words.
func words(s string) string { return strings.NewReplacer("_", " ", ".", " ").Replace(s) }

// change is what an event did to one field, in words.
type change struct{ Field, Before, After string }

// changes returns the changes of an event that are worth showing, by field. It
// leaves out, for example, that a new key has no metadata.
func changes(all domain.Changes) []change {
	var list []change
	for _, field := range slices.Sorted(maps.Keys(all)) {
		before, after := shown(all[field][0]), shown(all[field][1])
		if before != after {
			list = append(list, change{words(field), before, after})
		}
	}
	return list
}

// nothing is how an absent value is shown.
const nothing = "none"

// shown returns a value of the audit trail as people read it.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return nothing
	case string:
		if v == "" {
			return nothing
		}
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC().Format("2 January 2006, 15:04 UTC")
		}
		return v
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = shown(item)
		}
		if len(texts) == 0 {
			return nothing
		}
		return strings.Join(texts, ", ")
	case map[string]any:
		texts := make([]string, 0, len(v))
		for name, value := range v {
			texts = append(texts, name+"="+shown(value))
		}
		if len(texts) == 0 {
			return nothing
		}
		slices.Sort(texts)
		return strings.Join(texts, ", ")
	}
	return fmt.Sprint(v)
}
