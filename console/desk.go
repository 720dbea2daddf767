package console

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// deskPage is the leak desk: whose key a token is of, and what to do about it.
type deskPage struct {
	Form  form
	Asked string // the public part of what was asked for; empty: nothing was
	Found []foundKey
}

// foundKey is a key on the desk, with what the person may do about it.
type foundKey struct {
	service.FoundKey

	Owner     domain.Project
	MayWrite  bool
	MayRotate bool
	Nonce     string
}

// Ended reports whether there is nothing left to do about the key.
func (f foundKey) Ended() bool { return !f.Key.RevokedAt.IsZero() }

func showDesk(v *visit) error {
	return v.render(done, "desk", "Leak desk", deskPage{Form: newForm()})
}

// searchDesk finds the keys of what a person has pasted. The form is sent by POST, so
// that no address has it, and no log has what is posted. Where JavaScript runs, the
// secret of a token does not leave the page; otherwise it ends here, unused.
func searchDesk(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	asked := domain.PublicPart(strings.TrimSpace(f.Get("leaked")))
	page := deskPage{Form: newForm(), Asked: asked}
	if asked == "" || len(asked) > domain.MaxLeakTokenLength {
		return v.redirect("/console/desk")
	}
	found, err := v.app.FindKeys(v.ctx(), v.caller, asked)
	if err != nil {
		return err
	}
	for _, each := range found {
		project, err := each.Project.Get()
		if err != nil {
			return err
		}
		page.Found = append(page.Found, foundKey{
			FoundKey:  each,
			Owner:     project,
			MayWrite:  each.Project.Holds(domain.KeysWrite),
			MayRotate: !slices.ContainsFunc(each.Key.Scopes, func(s domain.Scope) bool { return !each.Project.Holds(s) }),
			Nonce:     rand.Text(),
		})
	}
	if len(found) == 0 {
		page.Asked = "" // it may be a secret of another form, and is shown nowhere
		page.Form.Detail = "No key of your organizations has this token or id."
	}
	return v.render(done, "desk", "Leak desk", page)
}
