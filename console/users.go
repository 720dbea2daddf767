package console

import (
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type signUpPage struct {
	Form  form
	Next  string
	First bool // this account becomes the operator's

	ByInvitation bool // the form asks for the token of an invitation
}

func showSignUp(v *visit) error {
	if v.layout.User != nil {
		return v.redirect("/console")
	}
	return v.signUpPage(newForm("email", v.QueryParam("email")))
}

func (v *visit) signUpPage(f form) error {
	policy, first, err := v.app.Signup(v.ctx())
	if err != nil {
		return err
	}
	if policy == service.SignupClosed {
		return domain.Errorf(domain.CodeSignupClosed, "This instance does not take sign-ups. Ask its operator for an account.")
	}
	return v.render(f.status, "sign-up", "Create your account", signUpPage{
		Form: f, Next: next(v), First: first, ByInvitation: policy == service.SignupInvite,
	})
}

func signUp(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	in, err := v.app.SignUp(v.ctx(), v.caller.Origin(), domain.SignUp{
		Email: f.Get("email"), Password: domain.Hidden(f.Get("password")), Name: f.Text("name"),
		InvitationToken: domain.Hidden(f.token()),
	})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.signUpPage(f)
	}
	if in.Cookie == "" { // the person has to confirm the address first
		return v.render(f.status, "check-mail", "Check your email", signUpPage{Form: f})
	}
	return v.enter(in)
}

type accountPage struct {
	Name, Password form
	User           domain.User
	Sessions       []domain.Session
	Current        domain.SessionID
	Notice         string
}

func showAccount(v *visit) error {
	return v.accountPage(newForm("name", v.layout.User.Name), newForm())
}

func (v *visit) accountPage(name, password form) error {
	account, err := v.app.Account(v.ctx(), v.caller)
	if err != nil {
		return err
	}
	sessions, err := account.ListSessions(v.ctx(), domain.Page{Limit: domain.MaxPageSize})
	if err != nil {
		return err
	}
	user, _ := v.caller.User()
	return v.render(name.status.or(password.status), "account", "Your account", accountPage{
		Name:     name,
		Password: password,
		User:     user.User,
		Sessions: sessions.Items,
		Current:  user.Session.ID,
		Notice: map[string]string{
			"name":     "Your name has been changed.",
			"password": "Your password has been changed, and your other sessions have ended.",
			"session":  "The session has ended.",
			"sessions": "All your other sessions have ended.",
		}[v.QueryParam("notice")],
	})
}

// onAccount returns the handler of a form about the caller's account.
func onAccount(act func(*visit, *service.Account, form) error) func(*visit) error {
	return func(v *visit) error {
		f, err := v.sent()
		if err != nil {
			return err
		}
		account, err := v.app.Account(v.ctx(), v.caller)
		if err != nil {
			return err
		}
		return act(v, account, f)
	}
}

func renameAccount(v *visit, account *service.Account, f form) error {
	if _, err := account.Rename(v.ctx(), f.Text("name")); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.accountPage(f, newForm())
	}
	return v.redirect("/console/account?notice=name")
}

func changePassword(v *visit, account *service.Account, f form) error {
	if err := account.ChangePassword(v.ctx(), f.Get("current"), f.Get("new")); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.accountPage(newForm("name", v.layout.User.Name), f)
	}
	return v.redirect("/console/account?notice=password")
}
