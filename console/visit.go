package console

import (
	"context"
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// visit is one request of a browser, with the caller and the layout of the page.
type visit struct {
	echo.Context

	console *console
	app     *service.App
	caller  domain.Principal
	layout  layout
}

// layout is the data of the parts that every page has.
type layout struct {
	Title        string
	Now          time.Time
	User         *domain.User         // nil: not signed in
	Organization *domain.Organization // nil: the page belongs to none
	Project      *domain.Project      // nil: the page belongs to none
	Tabs         []tab
	Page         any
	Main         template.HTML // output of the page's own template
}

type tab struct {
	Name, URL string
	Current   bool
}

// visitor lets anyone in, signed in or not.
func (c *console) visitor(handle func(*visit) error) echo.HandlerFunc {
	return func(ec echo.Context) error {
		v, err := c.visit(ec)
		if err != nil && domain.CodeOf(err) != domain.CodeInvalidToken {
			return err
		}
		return handle(v)
	}
}

// member lets in signed-in people, and sends everyone else to the sign-in page.
func (c *console) member(handle func(*visit) error) echo.HandlerFunc {
	return func(ec echo.Context) error {
		v, err := c.visit(ec)
		if err != nil && domain.CodeOf(err) != domain.CodeInvalidToken {
			return err
		}
		if v.layout.User == nil {
			return v.toSignIn()
		}
		return handle(v)
	}
}

// visit reads the cookie. Without a valid one the error is invalid_token and the
// visit is anonymous.
func (c *console) visit(ec echo.Context) (*visit, error) {
	request := ec.Response().Header().Get(echo.HeaderXRequestID)
	if request == "" {
		request = rand.Text()
		ec.Response().Header().Set(echo.HeaderXRequestID, request)
	}
	from := domain.Origin{IP: ec.RealIP(), UserAgent: domain.UserAgent(ec.Request().UserAgent()), RequestID: request}
	v := &visit{
		Context: ec,
		console: c,
		app:     c.app,
		caller:  domain.NewPrincipal(nil, nil, from),
		layout:  layout{Now: c.app.Now()},
	}
	ec.Set("visit", v)
	if !readable(ec.QueryParams()) {
		return v, errUnreadable()
	}
	cookie, err := ec.Cookie(c.cookieName())
	if err != nil {
		return v, domain.Refused(domain.CodeInvalidToken, "You are not signed in.")
	}
	user, err := c.app.ProveSession(v.ctx(), cookie.Value)
	if err != nil {
		return v, err
	}
	v.caller, v.layout.User = domain.NewPrincipal(nil, user, from), &user.User
	return v, nil
}

// readable reports whether all values are text that a database can store.
func readable(values url.Values) bool {
	for _, all := range values {
		for _, value := range all {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				return false
			}
		}
	}
	return true
}

func errUnreadable() error {
	return domain.Errorf(domain.CodeMalformedRequest, "The request contains bytes that are not text.")
}

func (v *visit) ctx() context.Context { return v.Request().Context() }

// toSignIn redirects to the sign-in page, and from there back to the requested
// page. A form is not sent again.
func (v *visit) toSignIn() error {
	if v.Request().Method != http.MethodGet {
		return v.redirect("/console/sign-in")
	}
	if v.Request().Header.Get("HX-Request") != "" { // the sign-in page must not replace a part of this one: load it whole
		v.Response().Header().Set("HX-Redirect", v.console.site.Path("/console/sign-in"))
		return v.NoContent(http.StatusNoContent)
	}
	return v.redirect("/console/sign-in?" + url.Values{"next": {v.Request().URL.RequestURI()}}.Encode())
}

// redirect answers a form: the browser loads path, and a reload repeats nothing.
func (v *visit) redirect(path string) error {
	return v.Redirect(http.StatusSeeOther, v.console.site.Path(path))
}

// organization returns the handle for the organization in the path.
func (v *visit) organization() (*service.Organization, domain.MemberOf, error) {
	id, err := domain.ParseID[domain.OrganizationID](v.Param("organization"))
	if err != nil {
		return nil, domain.MemberOf{}, err
	}
	o, err := v.app.Organization(v.ctx(), v.caller, id)
	if err != nil {
		return nil, domain.MemberOf{}, err
	}
	organization, err := o.Get()
	v.layout.Organization = &organization.Organization
	v.tabs(organizationURL(organization.Organization),
		tab{Name: "Projects"}, tab{Name: "Members", URL: "/members"},
		tab{Name: "Service accounts", URL: hide(!o.Holds(domain.ServiceAccountsRead), "/service-accounts")},
		tab{Name: "Audit log", URL: hide(!o.Holds(domain.AuditRead), "/audit")},
		tab{Name: "Settings", URL: hide(!o.Holds(domain.OrganizationWrite), "/settings")})
	return o, organization, err
}

// project returns the handle for the project in the path.
func (v *visit) project() (*service.Project, domain.Project, error) {
	id, err := domain.ParseID[domain.ProjectID](v.Param("project"))
	if err != nil {
		return nil, domain.Project{}, err
	}
	p, err := v.app.Project(v.ctx(), v.caller, id)
	if err != nil {
		return nil, domain.Project{}, err
	}
	project, err := p.Get()
	if err != nil {
		return nil, domain.Project{}, err
	}
	o, err := v.app.Organization(v.ctx(), v.caller, project.OrganizationID)
	if err != nil {
		return nil, domain.Project{}, err
	}
	organization, err := o.Get()
	v.layout.Organization, v.layout.Project = &organization.Organization, &project
	v.tabs(projectURL(project),
		tab{Name: "Overview"}, tab{Name: "Keys", URL: "/keys"}, tab{Name: "Customers", URL: "/customers"},
		tab{Name: "Plans", URL: "/plans"}, tab{Name: "Usage", URL: "/usage"},
		tab{Name: "Settings", URL: hide(!p.Holds(domain.ProjectWrite), "/settings")})
	return p, project, err
}

// hidden marks a tab that the caller may not use.
const hidden = "hidden"

func hide(yes bool, url string) string {
	if yes {
		return hidden
	}
	return url
}

// tabs puts the pages below base into the layout. The current one has the longest
// path that contains the request's.
func (v *visit) tabs(base string, all ...tab) {
	current := -1
	for _, t := range all {
		if t.URL == hidden {
			continue
		}
		t.URL = base + t.URL
		path := v.Request().URL.Path
		if path == t.URL || strings.HasPrefix(path, t.URL+"/") {
			current = len(v.layout.Tabs)
		}
		v.layout.Tabs = append(v.layout.Tabs, t)
	}
	if current >= 0 {
		v.layout.Tabs[current].Current = true
	}
}

// at marks a tab as the current one, where the path of a form does not show it.
func (v *visit) at(name string) {
	for i := range v.layout.Tabs {
		v.layout.Tabs[i].Current = v.layout.Tabs[i].Name == name
	}
}

func organizationURL(o domain.Organization) string { return "/console/organizations/" + string(o.ID) }
func projectURL(p domain.Project) string           { return "/console/projects/" + string(p.ID) }
func keyURL(k domain.Key) string {
	return "/console/projects/" + string(k.ProjectID) + "/keys/" + string(k.ID)
}

// pageStatus is the HTTP status of a page, and how long to wait before the request is
// sent again; 0: the error does not say.
type pageStatus struct {
	code int
	wait time.Duration
}

// done is the status of a page that nothing was refused on.
var done = pageStatus{code: http.StatusOK}

// or returns the status of a page with two forms, of which one may have been refused.
func (s pageStatus) or(other pageStatus) pageStatus {
	if s == done {
		return other
	}
	return s
}

// render answers with the page called name.
func (v *visit) render(status pageStatus, name, title string, page any) error {
	v.layout.Title, v.layout.Page = title, page
	v.Response().Header().Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	return v.console.pages.write(v.Response(), status, name, v.layout)
}

// refusal returns what a page shows of an error, and its status: of an internal
// error, nothing.
func refusal(err error) (*domain.Error, int) {
	refused, status := problem.Refusal(err)
	if _, ours := errors.AsType[*domain.Error](err); ours && refused.Code != domain.CodeInternal {
		return refused, status
	}
	if detail, ok := details[refused.Code]; ok {
		return &domain.Error{Code: refused.Code, Detail: detail, Err: err}, status
	}
	return refused, status
}

// details are the words of a page for errors that come without such as people need.
var details = map[domain.Code]string{
	domain.CodeMethodNotAllowed: "This page does not accept this method.",
	domain.CodePayloadTooLarge:  "The form is larger than " + maxForm + ".",
	domain.CodeMalformedRequest: "The request could not be read.",
	domain.CodeInternal:         "This is an error in Latchkey. It has been logged.",
}

// headlines are the titles of error pages.
var headlines = map[int]string{
	http.StatusForbidden:          "You may not do that",
	http.StatusNotFound:           "Nothing here",
	http.StatusConflict:           "That is not possible now",
	http.StatusPreconditionFailed: "Someone else changed this first",
	http.StatusTooManyRequests:    "Too many attempts",
	http.StatusServiceUnavailable: "Back in a moment",
}

// fail turns an error that no form shows into a page.
func (c *console) fail(err error, ec echo.Context) {
	if ec.Response().Committed {
		return
	}
	v, ok := ec.Get("visit").(*visit)
	if !ok {
		v, _ = c.visit(ec)
	}
	refused, status := refusal(err)
	if refused.Code == domain.CodeInvalidToken {
		_ = v.toSignIn()
		return
	}
	if status == http.StatusInternalServerError && c.isLogged(ec, status) {
		c.config.Log.ErrorContext(v.ctx(), "a page failed", "error", err, "request_id", v.caller.Origin().RequestID)
	}
	title, ok := headlines[status]
	if !ok {
		title = "That did not work"
	}
	v.layout.Tabs = nil
	err = v.render(pageStatus{status, refused.RetryAfter}, "error", title, map[string]any{
		"Status": status, "Detail": refused.Detail, "RequestID": v.caller.Origin().RequestID,
	})
	if err != nil {
		c.config.Log.ErrorContext(v.ctx(), "an error page failed", "error", err)
	}
}
