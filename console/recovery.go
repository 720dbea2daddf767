package console

import (
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
)

// recoveryPage is for pages that a link in an email opens, or that send one. The
// link's token comes after "#", where neither the server nor a log sees it. A
// script copies it into the form; without scripts, the person pastes the link.
type recoveryPage struct {
	Form    form
	Mailing bool // email reaches people
	Shown   bool // the server's terminal shows it instead
	Sent    bool
}

func (v *visit) recovery(name, title string, f form, sent bool) error {
	return v.render(f.status, name, title, recoveryPage{Form: f, Mailing: v.app.SendsEmail(), Shown: v.app.MailShown(), Sent: sent})
}

// token reads the token of an email, alone or within its link.
func (f form) token() string {
	text := f.Text("token")
	if _, token, ok := strings.Cut(text, "#token="); ok {
		return token
	}
	return text
}

// mailed turns the refusal of a token from an email into one that its form shows.
// It would otherwise count as a missing session.
func mailed(err error) error {
	if domain.CodeOf(err) == domain.CodeInvalidToken {
		refused, _ := refusal(err)
		return domain.Errorf(domain.CodeConflict, "%s", refused.Detail)
	}
	return err
}

func showForgotPassword(v *visit) error {
	return v.recovery("forgot-password", "Forgot password", newForm("email", v.email()), false)
}

func forgotPassword(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	if err := v.app.ForgotPassword(v.ctx(), v.caller.Origin(), f.Get("email")); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.recovery("forgot-password", "Forgot password", f, false)
	}
	return v.recovery("forgot-password", "Forgot password", f, true)
}

func showResetPassword(v *visit) error {
	return v.recovery("reset-password", "Set a new password", newForm(), false)
}

func resetPassword(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	if err := mailed(v.app.ResetForgottenPassword(v.ctx(), v.caller.Origin(), f.token(), f.Get("password"))); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.recovery("reset-password", "Set a new password", f, false)
	}
	return v.redirect("/console/sign-in?notice=password")
}

func showVerifyEmail(v *visit) error {
	return v.recovery("verify-email", "Confirm your address", newForm(), false)
}

func verifyEmail(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	if err := mailed(v.app.VerifyEmail(v.ctx(), v.caller.Origin(), f.token(), f.Get("password"))); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.recovery("verify-email", "Confirm your address", f, false)
	}
	return v.redirect("/console/sign-in?notice=verified")
}
