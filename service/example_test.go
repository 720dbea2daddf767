package service_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// example opens a database of its own with one project in it, as a program
// that uses Latchkey as a library does, and acts there as the command line: with
// every right, audited as system.
func example() (ctx context.Context, app *service.App, project *service.Project, done func()) {
	ctx = context.Background()
	dir := must(os.MkdirTemp("", "latchkey-example-"))
	store := must(repository.Open(ctx, "sqlite:"+filepath.Join(dir, "latchkey.db"), repository.Options{}))
	if err := store.Migrate(ctx); err != nil {
		log.Panic(err)
	}
	app = must(service.New(ctx, service.Options{
		Store: store, MasterKey: must(service.ParseMasterKey(service.NewMasterKey())), Issuer: "http://localhost:8080",
	}))
	system := domain.System()
	ann := must(app.CreateUser(ctx, system, domain.SignUp{Email: "ann@example.com", Password: password}, false))
	acme := must(app.CreateOrganization(ctx, system, domain.OrganizationSpec{Name: "Acme", Owner: ann.ID}))
	organization := must(app.Organization(ctx, system, acme.ID))
	created := must(organization.CreateProject(ctx, domain.ProjectSpec{Name: "Payments", KeyPrefix: "pay"}))
	project = must(app.Project(ctx, system, created.ID))
	return ctx, app, project, func() {
		if err := store.Close(); err != nil {
			log.Panic(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Panic(err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Panic(err)
	}
	return v
}

// Counting keys.
func ExampleProject_CountKeys() {
	ctx, _, project, done := example()
	defer done()
	for _, name := range []string{"web", "mobile"} {
		must(first(project.CreateKey(ctx, domain.KeySpec{Name: name})))
	}
	fmt.Println(must(project.CountKeys(ctx)))
	// Output: 2
}

func first[A, B any](a A, _ B, err error) (A, error) { return a, err }

// Creating a key. Its token is returned this once; what is stored only
// proves it.
func ExampleProject_CreateKey() {
	ctx, _, project, done := example()
	defer done()
	key, token, err := project.CreateKey(ctx, domain.KeySpec{
		Name: "nightly export", Environment: domain.Test, Scopes: []domain.Scope{"documents:read"},
	})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(key.Name, key.Scopes)
	fmt.Println(regexp.MustCompile(`^pay_test_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$`).MatchString(token.Reveal()))
	fmt.Println(token.String() == key.Prefix+"_…") // what a log would show
	// Output:
	// nightly export [documents:read]
	// true
	// true
}

// Finding a key from the token that a client sent. A key that has expired or
// been revoked is not found by it: there is no second, laxer way.
func ExampleApp_ProveKey() {
	ctx, app, project, done := example()
	defer done()
	key, token, err := project.CreateKey(ctx, domain.KeySpec{Name: "web"})
	if err != nil {
		log.Panic(err)
	}
	calling := must(app.ProveKey(ctx, token.Reveal(), nil))
	fmt.Println(calling.Key().Name, calling.Key().ID == key.ID)

	must(project.RevokeKey(ctx, key.ID, "no longer needed"))
	_, err = app.ProveKey(ctx, token.Reveal(), nil)
	fmt.Println(domain.CodeOf(err))
	// Output:
	// web true
	// key_revoked
}

// The project of the key that called comes with the key, without another query,
// and so does the right to act there: what the key's scopes allow, and no more.
func ExampleApp_Project() {
	ctx, app, project, done := example()
	defer done()
	_, token, err := project.CreateKey(ctx, domain.KeySpec{Name: "web", Scopes: []domain.Scope{domain.KeysRead}})
	if err != nil {
		log.Panic(err)
	}
	calling := must(app.ProveKey(ctx, token.Reveal(), nil))
	fmt.Println(calling.Tenant().Project.Name, "of", calling.Tenant().Organization.Name)

	own := must(app.Project(ctx, domain.ProvenPrincipal(calling, nil, domain.Origin{}), ""))
	fmt.Println(must(own.CountKeys(ctx)))
	_, _, err = own.CreateKey(ctx, domain.KeySpec{Name: "another"})
	fmt.Println(err)
	// Output:
	// Payments of Acme
	// 1
	// forbidden: This API key lacks the scope keys:write. A member who holds it can add it to the key.
}

// Giving a key a new token, while the current one keeps working for a day.
func ExampleProject_RotateKey() {
	ctx, app, project, done := example()
	defer done()
	key, old, err := project.CreateKey(ctx, domain.KeySpec{Name: "web"})
	if err != nil {
		log.Panic(err)
	}
	rotated, fresh, err := project.RotateKey(ctx, key.ID, domain.Rotation{})
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(rotated.ID == key.ID, rotated.Retiring.Prefix == key.Prefix, rotated.Retiring.ValidUntil.Sub(rotated.RotatedAt))
	for _, token := range []domain.Token{old, fresh} {
		fmt.Println(must(app.ProveKey(ctx, token.Reveal(), nil)).Key().Name)
	}
	// Output:
	// true true 24h0m0s
	// web
	// web
}

// Taking over a key of djangorestframework-api-key by its row. The client keeps
// its token.
func ExampleProject_ImportKeys() {
	ctx, app, project, done := example()
	defer done()
	result := must(project.ImportKeys(ctx, slices.Values([]domain.ImportRow{
		{
			Name: "from Django", Algorithm: domain.DjangoSHA512, Prefix: "dOwgmSHc",
			Hash: "sha512$$80090f0a7149a59234a66878e7dbe5b6cb15f30d3a167cbd16542d0e44f22f59" +
				"fb27c3518c092e2c8a6cb709708d338fe2d6ffaba66aa09b66506425727c5756",
		},
		{Name: "broken", Algorithm: domain.DjangoSHA512, Prefix: "xxxxxxxx", Hash: "sha512$$"},
	})))
	fmt.Println(result.Imported, result.Errors)
	fmt.Println(must(app.ProveKey(ctx, "dOwgmSHc.8l3xMZ2XoFzfRCzwPIeGCBzS5ZWqvW3N", nil)).Key().Name)
	// Output:
	// 1 [{/1/hash must be sha512$$ and 128 hexadecimal digits}]
	// from Django
}
