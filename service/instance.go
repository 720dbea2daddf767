package service

import (
	"context"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Instance has what an operator wants to know about an instance.
type Instance struct {
	Engine      string        // SQLite or PostgreSQL
	Migrations  []Migration   // oldest first
	Nodes       []domain.Node // that were seen lately
	SigningKeys []SigningKey  // newest first

	Users, Organizations, Projects, Keys int
}

// Migration is one step of the schema's history.
type Migration struct {
	Name      string
	AppliedAt time.Time // zero: pending
}

// SigningKey is a key that signs access tokens, without what is secret of it.
type SigningKey struct {
	ID        string
	CreatedAt time.Time
}

// Instance returns what the operator and the command line may see of the whole
// instance. To all others it is not_found.
func (a *App) Instance(ctx context.Context, caller domain.Principal) (Instance, error) {
	if err := requireOperator(caller); err != nil {
		return Instance{}, err
	}
	i := Instance{Engine: a.store.Engine()}
	migrations, err := a.store.Migrations(ctx)
	if err != nil {
		return Instance{}, err
	}
	for _, m := range migrations {
		i.Migrations = append(i.Migrations, Migration{Name: m.Name, AppliedAt: m.AppliedAt})
	}
	if i.Nodes, err = a.store.ListNodes(ctx); err != nil {
		return Instance{}, err
	}
	keys, err := a.store.ListSigningKeys(ctx)
	if err != nil {
		return Instance{}, err
	}
	for _, k := range keys {
		i.SigningKeys = append(i.SigningKeys, SigningKey{ID: k.ID, CreatedAt: k.CreatedAt})
	}
	for _, count := range []struct {
		of  *int
		ask func(context.Context) (int, error)
	}{
		{&i.Users, a.store.CountUsers},
		{&i.Organizations, a.store.CountOrganizations},
		{&i.Projects, a.store.CountProjects},
		{&i.Keys, a.store.CountAllKeys},
	} {
		if *count.of, err = count.ask(ctx); err != nil {
			return Instance{}, err
		}
	}
	return i, nil
}
