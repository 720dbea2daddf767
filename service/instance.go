package service

import (
	"context"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// Instance is what its operator wants to know of an instance.
type Instance struct {
	Engine      string                 // SQLite or PostgreSQL
	Migrations  []repository.Migration // oldest first
	Nodes       []repository.Node      // that were seen lately
	SigningKeys []repository.SigningKey

	Users, Organizations, Projects, Keys int
}

// Instance returns what the operator and the command line may see of the whole
// instance. To all others it is not_found.
func (a *App) Instance(ctx context.Context, caller domain.Principal) (Instance, error) {
	if user, ok := caller.User(); !caller.IsSystem() && (!ok || !user.User.Operator) {
		return Instance{}, domain.NotFound()
	}
	i := Instance{Engine: a.store.Engine()}
	var err error
	if i.Migrations, err = a.store.Migrations(ctx); err != nil {
		return Instance{}, err
	}
	if i.Nodes, err = a.store.ListNodes(ctx); err != nil {
		return Instance{}, err
	}
	if i.SigningKeys, err = a.store.ListSigningKeys(ctx); err != nil {
		return Instance{}, err
	}
	for key := range i.SigningKeys {
		i.SigningKeys[key].SealedPrivate = nil // no one may see it, sealed or not
	}
	for n, count := range map[*int]func(context.Context) (int, error){
		&i.Users: a.store.CountUsers, &i.Organizations: a.store.CountOrganizations, &i.Projects: a.store.CountProjects,
		&i.Keys: a.store.CountAllKeys,
	} {
		if *n, err = count(ctx); err != nil {
			return Instance{}, err
		}
	}
	return i, nil
}
