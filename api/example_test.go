package api_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// An Echo of one's own takes API keys and users: Guard holds every route to a
// permission, and the handler finds the project that owns the calling key.
func ExampleGuard() {
	app, token, stop := instance()
	defer stop()

	e := echo.New()
	api.Guard(e, app, api.GuardConfig{Default: permission.HasAPIKey}) // for routes that say nothing
	e.GET("/documents", func(c echo.Context) error {
		if project, ok := api.CallingProject(c); ok {
			return c.String(http.StatusOK, "documents of "+project.Name)
		}
		user, _ := api.Principal(c).User()
		return c.String(http.StatusOK, "documents of "+user.User.Email)
	}, api.Require(permission.Any(permission.HasAPIKey, permission.IsUser)))
	e.GET("/reports", func(c echo.Context) error { return c.String(http.StatusOK, "reports") })
	e.GET("/ping", func(c echo.Context) error { return c.String(http.StatusOK, "pong") }, api.Require(permission.Public))

	for _, path := range []string{"/documents", "/reports", "/ping"} {
		for _, authorization := range []string{"Api-Key " + token, ""} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			fmt.Println(path, w.Code)
			if w.Code == http.StatusOK {
				fmt.Println(w.Body)
			}
		}
	}
	// Output:
	// /documents 200
	// documents of Payments
	// /documents 401
	// /reports 200
	// reports
	// /reports 401
	// /ping 200
	// pong
	// /ping 200
	// pong
}

// instance returns a new instance with one key, created with the rights of its
// operator.
func instance() (app *service.App, token string, stop func()) {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	ctx, operator := context.Background(), domain.System()
	dir, err := os.MkdirTemp("", "latchkey")
	must(err)
	store, err := repository.Open(ctx, "sqlite:"+dir+"/latchkey.db", repository.Options{})
	must(err)
	must(store.Migrate(ctx))
	app, err = service.New(ctx, service.Options{Store: store, MasterKey: [32]byte{1, 2, 3}, Issuer: "http://127.0.0.1:8080"})
	must(err)
	in, err := app.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ada@example.com", Password: password})
	must(err)
	organization, err := app.CreateOrganization(ctx, operator, domain.OrganizationSpec{Name: "Acme", Owner: in.User.ID})
	must(err)
	acme, err := app.Organization(ctx, operator, organization.ID)
	must(err)
	project, err := acme.CreateProject(ctx, domain.ProjectSpec{Name: "Payments"})
	must(err)
	payments, err := app.Project(ctx, operator, project.ID)
	must(err)
	_, minted, err := payments.CreateKey(ctx, domain.KeySpec{Name: "backend"})
	must(err)
	return app, minted.Reveal(), func() {
		store.Close()
		must(os.RemoveAll(dir))
	}
}
