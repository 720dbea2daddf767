package console

import (
	"crypto/rand"
	"strconv"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

type serviceAccountsPage struct {
	Accounts domain.List[domain.ServiceAccount]
	Form     form
	Roles    []domain.Role // that the caller may give
	MayAllow bool          // the caller may let them delete projects
	Notice   string
}

func showServiceAccounts(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	return v.serviceAccountsPage(o, organization, newForm("role", string(domain.Developer), "nonce", rand.Text()))
}

func (v *visit) serviceAccountsPage(o *service.Organization, organization domain.MemberOf, f form) error {
	page, err := domain.NewPage(domain.MaxPageSize, v.QueryParam("cursor"))
	if err != nil {
		return err
	}
	accounts, err := o.ListServiceAccounts(v.ctx(), page)
	if err != nil {
		return err
	}
	v.at("Service accounts")
	return v.render(f.status, "service-accounts", "Service accounts", serviceAccountsPage{
		Accounts: accounts,
		Form:     f,
		Roles:    serviceRoles(organization.Role),
		MayAllow: organization.Role == domain.Owner,
		Notice:   map[string]string{"deleted": "The service account is deleted."}[v.QueryParam("notice")],
	})
}

// serviceRoles are the roles that a member may give to service accounts.
func serviceRoles(own domain.Role) (roles []domain.Role) {
	for _, role := range domain.Roles {
		if role != domain.Owner && own.MayGrant(role) {
			roles = append(roles, role)
		}
	}
	return roles
}

func createServiceAccount(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	account, err := o.CreateServiceAccount(v.ctx(), domain.ServiceAccountSpec{
		Name: f.Text("name"), Role: domain.Role(f.Get("role")), MayDeleteProjects: f.Get("may_delete_projects") != "",
		IdempotencyKey: domain.Hidden(f.Get("nonce")),
	})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.serviceAccountsPage(o, organization, f)
	}
	return v.redirect(serviceAccountURL(account) + "?notice=created")
}

func serviceAccountURL(a domain.ServiceAccount) string {
	return "/console/organizations/" + string(a.OrganizationID) + "/service-accounts/" + string(a.ID)
}

type serviceAccountPage struct {
	Account  domain.ServiceAccount
	Tokens   []domain.ServiceToken
	Form     form // of the account
	New      form // of a token
	Roles    []domain.Role
	MayAllow bool
	Token    string // only in the answer to its creation
	Notice   string
}

// serviceAccount returns the service account in the path.
func (v *visit) serviceAccount(o *service.Organization) (domain.ServiceAccount, error) {
	id, err := domain.ParseID[domain.UserID](v.Param("account"))
	if err != nil {
		return domain.ServiceAccount{}, err
	}
	return o.GetServiceAccount(v.ctx(), id)
}

func showServiceAccount(v *visit) error {
	o, organization, err := v.organization()
	if err != nil {
		return err
	}
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	return v.serviceAccountPage(o, organization, serviceAccountPage{Account: account, Form: serviceAccountForm(account), New: tokenForm()})
}

func serviceAccountForm(a domain.ServiceAccount) form {
	allowed := ""
	if a.MayDeleteProjects {
		allowed = "yes"
	}
	return newForm("name", a.Name, "role", string(a.Role), "status", string(a.Status), "may_delete_projects", allowed).at(a.Revision)
}

func tokenForm() form { return newForm("days", "365", "nonce", rand.Text()) }

func (v *visit) serviceAccountPage(o *service.Organization, organization domain.MemberOf, p serviceAccountPage) error {
	tokens, err := o.ListServiceTokens(v.ctx(), p.Account.ID, domain.Page{Limit: domain.MaxPageSize})
	if err != nil {
		return err
	}
	p.Tokens, p.Roles, p.MayAllow = tokens.Items, serviceRoles(organization.Role), organization.Role == domain.Owner
	p.Notice = map[string]string{
		"created": "The service account is ready for its first token.", "saved": "Saved.", "ended": "The token is deleted.",
	}[v.QueryParam("notice")]
	v.at("Service accounts")
	return v.render(p.New.status.or(p.Form.status), "service-account", p.Account.Name, p)
}

func updateServiceAccount(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	o.Expect(f.expects())
	_, err = o.UpdateServiceAccount(v.ctx(), account.ID, domain.ServiceAccountPatch{
		Name: new(f.Text("name")), Role: new(domain.Role(f.Get("role"))), Status: new(domain.Status(f.Get("status"))),
		MayDeleteProjects: new(f.Get("may_delete_projects") != ""),
	})
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		return v.serviceAccountPage(o, organization, serviceAccountPage{Account: account, Form: f.at(account.Revision), New: tokenForm()})
	}
	return v.redirect(serviceAccountURL(account) + "?notice=saved")
}

// showServiceAccountDeletion asks for confirmation.
func showServiceAccountDeletion(v *visit) error {
	o, _, err := v.organization()
	if err != nil {
		return err
	}
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	v.at("Service accounts")
	return v.render(done, "service-account-delete", "Delete a service account", serviceAccountPage{Account: account})
}

func deleteServiceAccount(v *visit, o *service.Organization, organization domain.MemberOf, _ form) error {
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	if err := o.DeleteServiceAccount(v.ctx(), account.ID); err != nil {
		return err
	}
	return v.redirect(organizationURL(organization.Organization) + "/service-accounts?notice=deleted")
}

// createServiceToken answers with the token. No other page shows it.
func createServiceToken(v *visit, o *service.Organization, organization domain.MemberOf, f form) error {
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	_, token, err := o.CreateServiceToken(v.ctx(), account.ID, domain.ServiceTokenSpec{
		Name: f.Text("name"), ExpiresAt: v.tokenExpiry(f.Get("days")), IdempotencyKey: domain.Hidden(f.Get("nonce")), TokenOnce: true,
	})
	if err == nil && token.IsZero() {
		return v.redirect(serviceAccountURL(account)) // the form was already sent
	}
	page := serviceAccountPage{Account: account, Form: serviceAccountForm(account), New: tokenForm()}
	if err != nil {
		if err := f.refuse(err); err != nil {
			return err
		}
		page.New = f
	} else {
		page.Token = token.Reveal()
	}
	return v.serviceAccountPage(o, organization, page)
}

// tokenExpiry returns when a token ends that is to last so many days; the zero time for
// never. For anything else than a number it is nil, which is the usual time.
func (v *visit) tokenExpiry(days string) *time.Time {
	if days == "never" {
		return new(time.Time)
	}
	if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 3650 {
		return new(v.layout.Now.Add(time.Duration(n) * 24 * time.Hour))
	}
	return nil
}

func deleteServiceToken(v *visit, o *service.Organization, _ domain.MemberOf, _ form) error {
	account, err := v.serviceAccount(o)
	if err != nil {
		return err
	}
	if err := o.DeleteServiceToken(v.ctx(), account.ID, domain.TokenID(v.Param("token"))); err != nil {
		return err
	}
	return v.redirect(serviceAccountURL(account) + "?notice=ended")
}
