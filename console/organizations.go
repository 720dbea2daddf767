package console

import (
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type homePage struct {
	Form          form
	Organizations domain.List[domain.MemberOf]
}

// showHome redirects to the caller's organization if there is one, lists them if
// there are several, and shows the form for the first one if there is none.
func showHome(v *visit) error {
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	organizations, err := v.app.ListOrganizations(v.ctx(), v.caller, page)
	if err != nil {
		return err
	}
	switch len(organizations.Items) {
	case 0:
		return v.render(done, "welcome", "Welcome", homePage{Form: newForm("project", "My first project")})
	case 1:
		if v.QueryParam("all") == "" {
			return v.redirect(organizationURL(organizations.Items[0].Organization))
		}
	}
	return v.render(done, "home", "Organizations", homePage{Organizations: organizations})
}

func showNewOrganization(v *visit) error {
	return v.render(done, "organization-new", "New organization", homePage{Form: newForm()})
}

// createOrganization creates an organization and, from the welcome page, also its
// first project.
func createOrganization(v *visit) error {
	f, err := v.sent()
	if err != nil {
		return err
	}
	organization, err := v.app.CreateOrganization(v.ctx(), v.caller, domain.OrganizationSpec{Name: f.Text("name"), Slug: f.Text("slug")})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		if f.Values.Has("project") {
			return v.render(f.status, "welcome", "Welcome", homePage{Form: f})
		}
		return v.render(f.status, "organization-new", "New organization", homePage{Form: f})
	}
	if f.Text("project") == "" {
		return v.redirect(organizationURL(organization.Organization))
	}
	o, err := v.app.Organization(v.ctx(), v.caller, organization.ID)
	if err != nil {
		return err
	}
	project, err := o.CreateProject(v.ctx(), domain.ProjectSpec{Name: f.Text("project")})
	if err != nil {
		return v.redirect(organizationURL(organization.Organization))
	}
	return v.redirect(projectURL(project))
}

type organizationPage struct {
	Organization domain.MemberOf
	Projects     domain.List[domain.Project]
	MayCreate    bool
}

func showOrganization(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	page, err := domain.NewPage(0, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	projects, err := o.ListProjects(v.ctx(), page)
	if err != nil {
		return err
	}
	return v.render(done, "organization", organization.Name, organizationPage{
		Organization: organization, Projects: projects, MayCreate: o.Holds(domain.ProjectsWrite),
	})
}

type settingsPage struct {
	Form      form
	Deletion  form
	Disabling form
	Status    domain.Status
	MayDelete bool
	Notice    string
}

func showOrganizationSettings(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	return v.organizationSettings(o, organization, organizationForm(organization), newForm(), newForm())
}

func organizationForm(o domain.MemberOf) form {
	return newForm("name", o.Name, "slug", o.Slug).at(o.Revision)
}

func (v *visit) organizationSettings(o *service.Organization, organization domain.MemberOf, settings, deletion, disabling form) error {
	if err := o.Authorize(domain.OrganizationWrite); err != nil {
		return err
	}
	status := settings.status.or(deletion.status).or(disabling.status)
	return v.render(status, "organization-settings", "Organization settings", settingsPage{
		Form:      settings,
		Deletion:  deletion,
		Disabling: disabling,
		Status:    organization.Status,
		MayDelete: o.Holds(domain.OrganizationDelete),
		Notice:    saved[v.QueryParam("notice")],
	})
}

// saved has the notices of a settings page after a change.
var saved = map[string]string{
	"saved":    "Saved.",
	"disabled": "Disabled. No key works until it is enabled again.",
	"active":   "Enabled. Its keys work again.",
}

func updateOrganization(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	name, slug := f.Text("name"), f.Text("slug")
	o.Expect(f.expects())
	if _, err := o.Update(v.ctx(), domain.OrganizationPatch{Name: &name, Slug: &slug}); err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.organizationSettings(o, organization, f.at(organization.Revision), newForm(), newForm())
	}
	return v.redirect(organizationURL(organization.Organization) + "/settings?notice=saved")
}

func setOrganizationStatus(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	status := domain.Status(f.Get("status"))
	if status != domain.Active && !f.typed(organization.Name) {
		return v.organizationSettings(o, organization, organizationForm(organization), newForm(), f)
	}
	if _, err := o.Update(v.ctx(), domain.OrganizationPatch{Status: &status}); err != nil {
		return err
	}
	return v.redirect(organizationURL(organization.Organization) + "/settings?notice=" + string(status))
}

func deleteOrganization(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	settings := organizationForm(organization)
	if f.typed(organization.Name) {
		err := o.Delete(v.ctx())
		if err == nil {
			return v.redirect("/console")
		}
		if err := v.confirm(err, organizationURL(organization.Organization)+"/settings"); err != nil || v.Response().Committed {
			return err
		}
	}
	return v.organizationSettings(o, organization, settings, f, newForm())
}

// typed reports whether the form repeats name, which confirms that the resource is
// deleted or disabled. If not, it puts an error into the form.
func (f *form) typed(name string) bool {
	if f.Text("confirm") == name {
		return true
	}
	_ = f.refuse(&domain.Error{
		Code:   domain.CodeValidationFailed,
		Fields: []domain.FieldError{{Pointer: "/confirm", Detail: "must be the name exactly as it is shown. Nothing was changed"}},
	})
	return false
}
