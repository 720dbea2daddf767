// Package console is Latchkey's web console: pages rendered on the server from
// html/template, under /console. Every page works without JavaScript; htmx adds
// search as you type, and a small script adds copying and countdowns.
//
// It has no rules of its own. Each page asks the service for the same authorized
// handles as the API does, and shows a button when the handle holds the action
// behind it. The service refuses a form that is sent without that action.
package console

import (
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/requestlog"
	"github.com/latchkey-dev/latchkey/service/site"
)

// Config says how clients reach the instance that the console belongs to.
type Config struct {
	PublicURL string       // https, or http on loopback; used in the curl lines
	Header    string       // the one header that carries keys; empty: X-Api-Key and Authorization
	Version   string       // for the instance page
	Log       *slog.Logger // nil: slog.Default

	// Requests decides which requests are logged; nil: a rule of the console's own.
	Requests *requestlog.Rule

	// IPExtractor returns a client's address for the audit trail; nil: the peer's.
	IPExtractor echo.IPExtractor

	// Trace is the outermost middleware; nil: none.
	Trace echo.MiddlewareFunc
}

type console struct {
	app    *service.App
	config Config
	site   site.Site
	pages  pages
	static static
}

//go:embed *.html
var templates embed.FS

//go:embed static
var staticFiles embed.FS

// maxForm is the size of the largest form that is accepted, in bytes. Metadata is
// the largest field.
const maxForm = "64K"

// Handler serves everything under /console. It reads its own cookie and ignores
// Authorization, so that neither an API key nor an access token opens a page.
func Handler(app *service.App, config Config) (http.Handler, error) {
	c := &console{app: app, config: config, site: site.New(config.PublicURL)}
	if c.config.Log == nil {
		c.config.Log = slog.Default()
	}
	if c.config.Requests == nil {
		c.config.Requests = requestlog.NewRule()
	}
	var err error
	if c.static, err = newStatic(); err != nil {
		return nil, err
	}
	if c.pages, err = c.parse(); err != nil {
		return nil, err
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = config.IPExtractor
	if e.IPExtractor == nil {
		e.IPExtractor = echo.ExtractIPDirect()
	}
	e.HTTPErrorHandler = c.fail
	if config.Trace != nil {
		e.Use(config.Trace)
	}
	e.Use(c.log, c.headers, middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error { return fmt.Errorf("%w\n%s", err, stack) },
		// The error reaches fail, which logs it.
		DisableErrorHandler: true,
	}), c.refuseForeignHosts, c.refuseCrossSite(), middleware.BodyLimit(maxForm))
	c.routes(e)
	return e, nil
}

func (c *console) routes(e *echo.Echo) {
	e.GET("/console/static/:version/:file", c.static.serve)

	for route, handle := range map[string]func(*visit) error{
		"GET /sign-up":          showSignUp,
		"POST /sign-up":         signUp,
		"GET /sign-in":          showSignIn,
		"POST /sign-in":         signIn,
		"GET /forgot-password":  showForgotPassword,
		"POST /forgot-password": forgotPassword,
		"GET /reset-password":   showResetPassword,
		"POST /reset-password":  resetPassword,
		"GET /verify-email":     showVerifyEmail,
		"POST /verify-email":    verifyEmail,
		"GET /invitation":       showInvitation,
	} {
		c.add(e, route, c.visitor(handle))
	}
	for route, handle := range map[string]func(*visit) error{
		"GET ":                                   showHome,
		"GET /":                                  showHome,
		"POST /sign-out":                         signOut,
		"GET /desk":                              showDesk,
		"POST /desk":                             searchDesk,
		"GET /account":                           showAccount,
		"POST /account":                          onAccount(renameAccount),
		"POST /account/password":                 onAccount(changePassword),
		"POST /account/sessions":                 revokeOtherSessions,
		"POST /account/sessions/:session":        revokeSession,
		"GET /instance":                          showInstance,
		"GET /instance/accounts":                 showAccounts,
		"POST /invitation":                       acceptInvitation,
		"POST /organizations":                    createOrganization,
		"GET /organizations/new":                 showNewOrganization,
		"GET /organizations/:organization":       showOrganization,
		"GET /organizations/:organization/audit": showAudit,
		"GET /organizations/:organization/audit/export":             exportAudit,
		"GET /organizations/:organization/members":                  showMembers,
		"POST /organizations/:organization/members/:user":           onOrganization(updateMember),
		"GET /organizations/:organization/members/:user/remove":     showRemoval,
		"POST /organizations/:organization/members/:user/remove":    onOrganization(removeMember),
		"POST /organizations/:organization/invitations":             onOrganization(createInvitation),
		"POST /organizations/:organization/invitations/:invitation": onOrganization(revokeInvitation),
		"GET /organizations/:organization/service-accounts":         showServiceAccounts,
		"POST /organizations/:organization/service-accounts":        onOrganization(createServiceAccount),
		"GET /organizations/:organization/settings":                 showOrganizationSettings,
		"POST /organizations/:organization/settings":                onOrganization(updateOrganization),
		"POST /organizations/:organization/status":                  onOrganization(setOrganizationStatus),
		"POST /organizations/:organization/delete":                  onOrganization(deleteOrganization),
		"GET /organizations/:organization/projects/new":             showNewProject,
		"POST /organizations/:organization/projects":                onOrganization(createProject),
		"GET /projects/:project":                                    showProject,
		"GET /projects/:project/settings":                           showProjectSettings,
		"GET /projects/:project/usage":                              showUsage,
		"GET /projects/:project/usage/export":                       exportUsage,
		"POST /projects/:project/settings":                          onProject(updateProject),
		"POST /projects/:project/status":                            onProject(setProjectStatus),
		"POST /projects/:project/delete":                            onProject(deleteProject),
		"GET /projects/:project/keys":                               showKeys,
		"POST /projects/:project/keys":                              onProject(createKey),
		"POST /projects/:project/keys/search":                       onProject(searchKeys),
		"GET /projects/:project/keys/new":                           showNewKey,
		"GET /projects/:project/keys/revoke":                        showRevokeKeys,
		"POST /projects/:project/keys/revoke":                       onProject(revokeKeys),
		"GET /projects/:project/keys/:key":                          showKey,
		"GET /projects/:project/customers":                          showCustomers,
		"GET /projects/:project/customers/show":                     showCustomer,
		"GET /projects/:project/credits":                            showCredits,
		"GET /projects/:project/credits/export":                     exportCredits,
		"GET /projects/:project/credits/new":                        showGrant,
		"POST /projects/:project/credits/confirm":                   onProject(confirmGrant),
		"POST /projects/:project/credits":                           onProject(grantCredits),
		"GET /projects/:project/plans":                              showPlans,
		"POST /projects/:project/plans":                             onProject(createPlan),
		"GET /projects/:project/plans/new":                          showNewPlan,
		"POST /projects/:project/plans/rehearse":                    onProject(rehearsePlan),
		"GET /projects/:project/plans/:plan":                        showPlan,
		"POST /projects/:project/plans/:plan":                       updatePlan,
		"GET /projects/:project/plans/:plan/delete":                 showDeletePlan,
		"POST /projects/:project/plans/:plan/delete":                deletePlan,
		"POST /projects/:project/keys/:key":                         onKey(updateKey),
		"POST /projects/:project/keys/:key/rotate":                  onKey(rotateKey),
		"POST /projects/:project/keys/:key/revoke":                  onKey(revokeKey),
		"POST /projects/:project/keys/:key/delete":                  onKey(deleteKey),

		"GET /organizations/:organization/service-accounts/:account":                showServiceAccount,
		"POST /organizations/:organization/service-accounts/:account":               onOrganization(updateServiceAccount),
		"GET /organizations/:organization/service-accounts/:account/delete":         showServiceAccountDeletion,
		"POST /organizations/:organization/service-accounts/:account/delete":        onOrganization(deleteServiceAccount),
		"POST /organizations/:organization/service-accounts/:account/tokens":        onOrganization(createServiceToken),
		"POST /organizations/:organization/service-accounts/:account/tokens/:token": onOrganization(deleteServiceToken),
	} {
		c.add(e, route, c.member(handle))
	}
}

// add registers a handler under a method and a path below /console.
func (c *console) add(e *echo.Echo, route string, handle echo.HandlerFunc) {
	method, path, _ := strings.Cut(route, " ")
	e.Add(method, "/console"+path, handle)
	if method == http.MethodGet {
		e.HEAD("/console"+path, handle)
	}
}

// log writes the access log as the API does. It leaves out URLs and headers,
// because secrets end up there by mistake.
func (c *console) log(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		start := time.Now()
		if err := next(ec); err != nil {
			ec.Error(err)
		}
		if !c.isLogged(ec, ec.Response().Status) {
			return nil
		}
		actor := ""
		if v, ok := ec.Get("visit").(*visit); ok {
			actor = v.caller.Actor().ID
		}
		c.config.Log.LogAttrs(ec.Request().Context(), slog.LevelInfo, "request",
			slog.String("request_id", ec.Response().Header().Get(echo.HeaderXRequestID)), slog.String("method", ec.Request().Method),
			slog.String("page", ec.Path()), slog.Int("status", ec.Response().Status), slog.Duration("took", time.Since(start)),
			slog.Int64("bytes", ec.Response().Size), slog.String("ip", ec.RealIP()), slog.String("actor", actor))
		return nil
	}
}

// isLogged reports whether a request that is answered with status is logged.
// It decides once for each request, as soon as the status is known.
func (c *console) isLogged(ec echo.Context, status int) bool {
	const key = "logged"
	decided, ok := ec.Get(key).(bool)
	if !ok {
		decided = c.config.Requests.Keeps(ec.Request().Method, status, time.Now())
		ec.Set(key, decided)
	}
	return decided
}

// Mount returns a handler that serves the console under /console, redirects / to
// it and passes everything else to api, all below the site's path. It compares
// paths as they were sent; api refuses malformed ones.
func Mount(at site.Site, console, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at.Relative(r.URL)
		switch path := r.URL.Path; {
		case path == "/console" || strings.HasPrefix(path, "/console/"):
			console.ServeHTTP(w, r)
		case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			at.SetHeaders(w.Header())
			http.Redirect(w, r, at.Path("/console"), http.StatusSeeOther)
		default:
			api.ServeHTTP(w, r)
		}
	})
}
