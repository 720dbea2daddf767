package service_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

func TestMainJob(t *testing.T) {
	for name, dsn := range map[string]string{"SQLite": "sqlite:" + t.TempDir() + "/latchkey.db", "PostgreSQL": storetest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, err := repository.Open(ctx, dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			if err := store.Migrate(ctx); err != nil {
				t.Fatal(err)
			}
			app, err := service.New(ctx, service.Options{Store: store, MasterKey: [32]byte{1}, Issuer: "http://localhost"})
			if err != nil {
				t.Fatal(err)
			}
			in, err := app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "Ann@example.com", Password: "a long enough one"})
			if err != nil {
				t.Fatal(err)
			}
			user, err := app.AuthenticateUser(ctx, in.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			if !user.User.Operator {
				t.Error("first is not operator")
			}
			caller := domain.NewPrincipal(nil, user, domain.Origin{})
			org, err := app.CreateOrganization(ctx, caller, domain.OrganizationSpec{Name: "Acme"})
			if err != nil {
				t.Fatal(err)
			}
			if org2, err := app.CreateOrganization(ctx, caller, domain.OrganizationSpec{Name: "Acme"}); err != nil || org2.Slug != "acme-2" {
				t.Fatal(err, org2.Slug)
			}
			o, err := app.Organization(ctx, caller, org.ID)
			if err != nil {
				t.Fatal(err)
			}
			pr, err := o.CreateProject(ctx, domain.ProjectSpec{Name: "API"})
			if err != nil {
				t.Fatal(err)
			}
			p, err := app.Project(ctx, caller, pr.ID)
			if err != nil {
				t.Fatal(err)
			}
			key, token, err := p.CreateKey(ctx, domain.KeySpec{Name: "k", Scopes: []domain.Scope{"documents:read"}})
			if err != nil {
				t.Fatal(err)
			}
			calling, err := app.AuthenticateKey(ctx, token.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			if calling.Project.ID != pr.ID || calling.Key.ID != key.ID || calling.Organization.ID != org.ID {
				t.Errorf("%+v", calling)
			}
			if v, err := p.VerifyKey(ctx, token.Reveal(), nil); err != nil || !v.Valid {
				t.Error(v, err)
			}
			name := "other"
			if key, err = p.UpdateKey(ctx, key.ID, domain.KeyPatch{Name: &name}); err != nil || key.Name != name {
				t.Error(err)
			}
			list, err := p.ListKeys(ctx, domain.KeyFilter{Search: "OTH", Status: domain.KeyActive}, domain.Page{Limit: 5})
			if err != nil || len(list.Items) != 1 {
				t.Error(list, err)
			}
			if _, err = p.RevokeKey(ctx, key.ID, "bye"); err != nil {
				t.Error(err)
			}
			if _, err := app.AuthenticateKey(ctx, token.Reveal()); domain.CodeOf(err) != domain.CodeKeyRevoked {
				t.Error(err)
			}
			events, err := o.ListEvents(ctx, domain.EventFilter{}, domain.Page{Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events.Items {
				t.Log(e.Action, e.Changes)
			}
			in2, err := app.Refresh(ctx, domain.Origin{}, in.RefreshToken)
			if err != nil {
				t.Fatal(err)
			}
			in3, err := app.Refresh(ctx, domain.Origin{}, in.RefreshToken)
			if err != nil || in2.RefreshToken != in3.RefreshToken {
				t.Fatal(err)
			}
			if _, err := app.LogIn(ctx, domain.Origin{}, "ANN@example.com", "a long enough one"); err != nil {
				t.Error(err)
			}
			if err := p.Delete(ctx); err != nil {
				t.Error(err)
			}
			if err := o.Delete(ctx); err != nil {
				t.Error(err)
			}
			acc, _ := app.Account(ctx, caller)
			if err := acc.LogOut(ctx); err != nil {
				t.Error(err)
			}
			if _, err := app.AuthenticateUser(ctx, in.AccessToken); err == nil {
				t.Error("still in")
			}
		})
	}
}
