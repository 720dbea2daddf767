package cache

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
)

// Issuers are the projects that strangers ask about lately, whose documents are
// public. It is safe for concurrent use.
type Issuers struct {
	projects table[domain.ProjectID, domain.Project]
}

// NewIssuers returns an empty cache. turns bounds the look-ups in progress.
func NewIssuers(turns chan struct{}) *Issuers {
	return &Issuers{newTable[domain.ProjectID, domain.Project](turns)}
}

// Get returns a project, if it is known.
func (i *Issuers) Get(id domain.ProjectID) (*domain.Project, bool) {
	e := i.projects.get(id)
	if e == nil {
		return nil, false
	}
	return &e.value, true
}

// Load is like Get, but calls read if the project is not known.
func (i *Issuers) Load(
	ctx context.Context, id domain.ProjectID, read func(context.Context) (domain.Project, error),
) (*domain.Project, error) {
	return i.projects.load(ctx, id, read)
}

// Forget drops what the change makes untrue. Requests that start after it has
// returned do not get it.
func (i *Issuers) Forget(c domain.Stale) {
	switch c.Kind {
	case domain.StaleProject:
		i.projects.forget(domain.ProjectID(c.ID))
	case domain.StaleOrganization:
		i.projects.forgetIf(func(_ domain.ProjectID, p *domain.Project) bool {
			return p.OrganizationID == domain.OrganizationID(c.ID)
		})
	}
}

// ForgetAll drops everything.
func (i *Issuers) ForgetAll() {
	i.projects.forgetIf(func(domain.ProjectID, *domain.Project) bool { return true })
}
