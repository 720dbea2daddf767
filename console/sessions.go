package console

import (
	"net/url"
	"path"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type signInPage struct {
	Form   form
	Next   string // where to go afterwards; empty: home
	Again  bool   // a signed-in person has to enter their password again
	Signup bool   // people can create an account
	Notice string
}

// notices are the texts of the sign-in page for people who were sent there.
var notices = map[string]string{
	"out":      "You are signed out.",
	"password": "Your password has been changed. Sign in with the new one.",
	"verified": "Your email address is confirmed. Sign in to continue.",
}

func showSignIn(v *visit) error {
	_, first, err := v.app.Signup(v.ctx())
	if err != nil {
		return err
	}
	if first && v.layout.User == nil {
		return v.redirect("/console/sign-up")
	}
	return v.signInPage(newForm("email", v.email()))
}

func (v *visit) signInPage(f form) error {
	policy, _, err := v.app.Signup(v.ctx())
	if err != nil {
		return err
	}
	again := v.layout.User != nil
	title := "Sign in"
	if again {
		title = "Confirm it is you"
	}
	return v.render(f.status, "sign-in", title, signInPage{
		Form:   f,
		Next:   next(v),
		Again:  again,
		Signup: policy != service.SignupClosed && !again,
		Notice: notices[v.QueryParam("notice")],
	})
}

func (v *visit) email() string {
	if v.layout.User == nil {
		return ""
	}
	return v.layout.User.Email
}

// next returns the page to show after the sign-in. It must be a page of the
// console, because anyone can make a link with another value.
func next(v *visit) string {
	next := v.FormValue("next")
	u, err := url.Parse(next)
	if err != nil || !strings.HasPrefix(next, "/console/") || strings.ContainsAny(next, "\\\r\n") {
		return ""
	}
	// Browsers resolve dots, escaped ones too: what is left must still be ours.
	if path.Clean(u.Path) != strings.TrimSuffix(u.Path, "/") || u.Path == "/console/" {
		return ""
	}
	return next
}

func signIn(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	in, err := v.app.LogIn(v.ctx(), v.caller.Origin(), f.Get("email"), f.Get("password"))
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.signInPage(f)
	}
	if err := v.endSession(); err != nil {
		return err
	}
	return v.enter(in)
}

// enter gives the browser its cookie and redirects it to the next page.
func (v *visit) enter(in service.SignedIn) error {
	v.console.setCookie(v, in.Cookie, int(in.Session.ExpiresAt.Sub(v.layout.Now).Seconds()))
	if path := next(v); path != "" {
		return v.redirect(path)
	}
	return v.redirect("/console")
}

// endSession ends the browser's session, if it has one.
func (v *visit) endSession() error {
	if v.layout.User == nil {
		return nil
	}
	account, err := v.app.Account(v.ctx(), v.caller)
	if err != nil {
		return err
	}
	return account.LogOut(v.ctx())
}

func signOut(v *visit) error {
	if err := v.endSession(); err != nil {
		return err
	}
	v.console.setCookie(v, "", -1)
	// The cookie is removed by itself: "cookies" would remove those of the whole domain.
	v.Response().Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return v.redirect("/console/sign-in?notice=out")
}

func revokeSession(v *visit) error {
	id, err := domain.ParseID[domain.SessionID](v.Param("session"))
	if err != nil {
		return err
	}
	account, err := v.app.Account(v.ctx(), v.caller)
	if err != nil {
		return err
	}
	if err := account.RevokeSession(v.ctx(), id); err != nil {
		return err
	}
	return v.redirect("/console/account?notice=session")
}

func revokeOtherSessions(v *visit) error {
	account, err := v.app.Account(v.ctx(), v.caller)
	if err != nil {
		return err
	}
	if err := account.RevokeOtherSessions(v.ctx()); err != nil {
		return err
	}
	return v.redirect("/console/account?notice=sessions")
}

// confirm redirects a person who has to enter their password again to the sign-in
// page, and from there back to path. It returns every other error.
func (v *visit) confirm(err error, path string) error {
	if domain.CodeOf(err) != domain.CodeReauthenticationRequired {
		return err
	}
	return v.redirect("/console/sign-in?next=" + path)
}
