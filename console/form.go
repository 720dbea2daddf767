package console

import (
	"crypto/rand"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// form is the content of a form: its values and, after a refusal, what was wrong.
type form struct {
	Values url.Values
	Detail string            // what is wrong with the form as a whole
	Faults map[string]string // by field
	status pageStatus
	sent   bool // the values were sent by a browser
}

// newForm returns a form that has not been sent yet, from alternating names and
// values.
func newForm(values ...string) form {
	f := form{Values: url.Values{}, status: done}
	for pair := range slices.Chunk(values, 2) {
		f.Values.Add(pair[0], pair[1])
	}
	return f
}

// sent returns the form that the browser sent.
func (v *visit) sent() (form, error) {
	f := form{status: done, sent: true}
	err := v.Request().ParseForm()
	f.Values = v.Request().PostForm
	if err != nil || !readable(f.Values) {
		return f, errUnreadable()
	}
	return f, nil
}

// onOrganization returns the handler of a form about the organization in the path.
func onOrganization(act func(*visit, *service.Organization, domain.MemberOf, form) error) func(*visit) error {
	return func(v *visit) error {
		o, organization, err := v.organization()
		if err != nil {
			return err
		}
		f, err := v.sent()
		if err != nil {
			return err
		}
		return act(v, o, organization, f)
	}
}

// onProject returns the handler of a form about the project in the path.
func onProject(act func(*visit, *service.Project, domain.Project, form) error) func(*visit) error {
	return func(v *visit) error {
		p, project, err := v.project()
		if err != nil {
			return err
		}
		f, err := v.sent()
		if err != nil {
			return err
		}
		return act(v, p, project, f)
	}
}

// at records the revision of what the form shows, so that sending the form does
// not overwrite a change that someone else made in between.
func (f form) at(revision int64) form {
	f.Values.Set("revision", strconv.FormatInt(revision, 10))
	return f
}

// expects returns the condition that the resource still has the revision that the
// form showed.
func (f form) expects() domain.Precondition {
	revision, err := strconv.ParseInt(f.Get("revision"), 10, 64)
	if err != nil {
		return domain.AtRevision()
	}
	return domain.AtRevision(revision)
}

// refuse puts err into the form, so that the page can show both again. It returns
// errors that a form cannot show; they need an error page.
func (f *form) refuse(err error) error {
	shown, status := refusal(err)
	refused := *shown
	switch refused.Code {
	case domain.CodeNotFound, domain.CodeInternal, domain.CodeInvalidToken, domain.CodeUnauthenticated:
		return err
	}
	if refused.Code == domain.CodeIdempotencyMismatch {
		refused.Detail = "This form was already sent with other values. Send it again if you want to."
		f.Values.Set("nonce", rand.Text())
	}
	if refused.Code == domain.CodePreconditionFailed {
		refused.Detail = "Someone else changed this first. Send the form again to replace it with what you see here."
	}
	if len(refused.Fields) > 0 {
		refused.Detail = "Please fix the errors below."
	}
	f.status = pageStatus{status, refused.RetryAfter}
	f.Detail, f.Faults = refused.Detail, map[string]string{}
	for _, fault := range refused.Fields {
		name, _, _ := strings.Cut(strings.TrimPrefix(fault.Pointer, "/"), "/")
		if f.Faults[name] == "" {
			f.Faults[name] = sentence(fault.Detail)
		}
	}
	return nil
}

// sentence turns the detail of a field error into a sentence: "must not be empty"
// gets a capital letter and a period.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// Unsaved reports whether the values were sent and refused, and need fixing.
func (f form) Unsaved() bool { return f.sent && f.Detail != "" }

// Get returns the value of a field.
func (f form) Get(name string) string { return f.Values.Get(name) }

// Text returns the value of a field without surrounding spaces.
func (f form) Text(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// Selected marks the option of a select.
func (f form) Selected(name, value string) template.HTMLAttr {
	if f.Get(name) == value {
		return "selected"
	}
	return ""
}

// Checked marks a checkbox or a radio button.
func (f form) Checked(name string, value any) template.HTMLAttr {
	if slices.Contains(f.Values[name], fmt.Sprint(value)) {
		return "checked"
	}
	return ""
}

// Describe connects a field with its hint and its error, for screen readers. The
// first field with an error gets the focus.
func (f form) Describe(name string) template.HTMLAttr {
	if f.Faults[name] != "" {
		described := `autofocus aria-invalid="true" aria-describedby="` + name + `-fault ` + name + `-hint"`
		return template.HTMLAttr(described) //nolint:gosec // names are literals in templates
	}
	return template.HTMLAttr(`aria-describedby="` + name + `-hint"`) //nolint:gosec // the same
}

// Autofocus gives the focus to the first field of a form, unless a field has an
// error.
func (f form) Autofocus() template.HTMLAttr {
	if len(f.Faults) > 0 {
		return ""
	}
	return "autofocus"
}

// Fault returns the input of the template "fault", which shows a field's error.
func (f form) Fault(name string) map[string]string {
	return map[string]string{"Name": name, "Text": f.Faults[name]}
}
