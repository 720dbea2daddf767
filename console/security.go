package console

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// contentPolicy lets a page load only what the console serves, forbids inline
// scripts and styles, and lets forms be sent only to the console.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// headers sets the headers of every answer of the console. Pages must not be
// stored, because some of them hold a token.
func (c *console) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		h := ec.Response().Header()
		c.site.SetHeaders(h)
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		// Not no-referrer: browsers would then send "Origin: null" with the
		// console's own forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		return next(ec)
	}
}

// refuseForeignHosts refuses requests for a host name that is not the site's, with
// the status of RFC 9110, section 15.5.20. A stranger can point a name of theirs at
// this server by DNS, and their page would then have the same origin as the console.
func (c *console) refuseForeignHosts(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		if !c.site.Serves(ec.Request().Host) {
			return ec.String(http.StatusMisdirectedRequest, "This console is not served under this name. Open "+c.site.URL("/console")+
				" instead. If a proxy is in front, make it forward the Host header, "+
				"or set LATCHKEY_PUBLIC_URL to the address that browsers use.\n")
		}
		return next(ec)
	}
}

// refuseCrossSite refuses unsafe requests that a page of another site, or of
// another subdomain, made the browser send. CrossOriginProtection allows a request
// without an origin, as programs send it. Programs do not use the cookie, so here
// one of the two headers that every browser sends is required. Without
// Sec-Fetch-Site, CrossOriginProtection compares the host of Origin alone; here its
// scheme counts, too.
func (c *console) refuseCrossSite() echo.MiddlewareFunc {
	protection := http.NewCrossOriginProtection()
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
			r := ec.Request()
			safe := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
			origin := r.Header.Get("Origin")
			own := r.Header.Get("Sec-Fetch-Site") != "" || c.site.Owns(origin)
			if err := protection.Check(r); err != nil || !safe && !own {
				return &domain.Error{
					Code: domain.CodeForbidden, Err: err,
					Detail: "The form did not come from a page of this console. Open the console and try again there.",
				}
			}
			return next(ec)
		}
	}
}

// cookieName returns the name of the session's cookie. The __Host- prefix makes
// browsers refuse a cookie that another subdomain set or that came over http. A
// cookie with a path cannot have that prefix; __Secure- keeps the second half of
// its protection. On loopback there is no https to require.
func (c *console) cookieName() string {
	switch {
	case c.site.Secure() && c.site.Prefix() == "":
		return "__Host-latchkey_session"
	case c.site.Secure():
		return "__Secure-latchkey_session"
	}
	return "latchkey_session"
}

func (c *console) setCookie(ec echo.Context, value string, lifetime int) {
	ec.SetCookie(&http.Cookie{ //nolint:gosec // Secure is on wherever there is https: cookieName
		Name:     c.cookieName(),
		Value:    value,
		Path:     cmp.Or(c.site.Prefix(), "/"),
		MaxAge:   lifetime,
		Secure:   c.site.Secure(),
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}
