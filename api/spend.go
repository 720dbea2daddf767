package api

import (
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// Cost returns middleware that takes units from the limit of that name of the calling
// key, besides what every request costs. Put it after Require, or on a route of an Echo
// that has a Guard. It answers 429 if the limit refuses them. A key that has no such
// limit passes.
func Cost(limit string, units int64) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := Spend(c, domain.Cost{limit: units}); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// Spend takes what a request turns out to cost from the named limits of the calling
// key, all of them or none, besides what every request costs. It is for costs that a
// handler learns before it answers. If it returns an error, it has answered: 429 or
// 402 if a limit refuses them. The handler returns the error, too. Callers without a key pass.
func Spend(c echo.Context, cost domain.Cost) error {
	call, ok := callOf(c.Request().Context())
	if !ok {
		panic("api: Spend without Prove or Guard before it")
	}
	key, isKey := call.principal.ProvenKey()
	if !isKey {
		return nil
	}
	err := cost.Validate()
	if err == nil {
		d := call.guard.app.SpendMore(c.Request().Context(), key, cost)
		setRateLimit(c.Response().Header(), &d)
		err = d.Err()
	}
	if err != nil {
		_ = call.refuse(c, err) // fails only if the client has left
	}
	return err
}
