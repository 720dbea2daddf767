package console

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// contentPolicy lets a page load what the console itself serves and nothing
// else, run no script or style that stands inside it, and send forms only here.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// headers sets what every answer of the console carries. Pages are not stored
// anywhere: some of them hold a token.
func (c *console) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		h := ec.Response().Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		// Not no-referrer: that would make browsers send "Origin: null" with our
		// own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if c.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		return next(ec)
	}
}

// refuseCrossSite refuses unsafe requests that a page of another site, or of
// another subdomain, made the browser send. CrossOriginProtection takes a
// request that says nothing about where it comes from for one of a program; a
// program has no business with the cookie, so here one of the two headers that
// every browser sends has to be there.
func refuseCrossSite() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
			r := ec.Request()
			safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
			told := r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != ""
			if err := protection.Check(r); err != nil || !safe && !told {
				return &domain.Error{
					Code: domain.CodeForbidden, Err: err,
					Detail: "The form did not come from a page of this console. Open the console and try again there.",
				}
			}
			return next(ec)
		}
	}
}

// cookieName is what the session's cookie is called. The __Host- prefix makes
// browsers refuse one that another subdomain set or that came over http; on
// loopback there is no https to demand.
func (c *console) cookieName() string {
	if c.secure() {
		return "__Host-latchkey_session"
	}
	return "latchkey_session"
}

func (c *console) setCookie(ec echo.Context, value string, lifetime int) {
	ec.SetCookie(&http.Cookie{ //nolint:gosec // Secure is on wherever there is https: cookieName
		Name: c.cookieName(), Value: value, Path: "/", MaxAge: lifetime,
		Secure: c.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
