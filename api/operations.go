package api

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
)

// operation is an operation of openapi.yaml, with everything about it that is
// known before the first request.
type operation struct {
	id       string
	method   string
	path     string // in Echo's notation
	rule     rule
	contract contract
	free     bool // it costs the limits of the calling key nothing
}

// loadOperations reads the operations of openapi.yaml, once. It fails when one
// has no rule, or a rule has none.
var loadOperations = sync.OnceValues(func() ([]operation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		return nil, err
	}
	var operations []operation
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			r, ok := rules[op.OperationID]
			if !ok {
				return nil, fmt.Errorf("the operation %s has no rule", op.OperationID)
			}
			if _, err := r.permission.Security(); err != nil {
				return nil, fmt.Errorf("the rule of %s: %w", op.OperationID, err)
			}
			contract, err := newContract(op)
			if err != nil {
				return nil, fmt.Errorf("the operation %s: %w", op.OperationID, err)
			}
			operations = append(operations, operation{
				id:       op.OperationID,
				method:   method,
				path:     echoPath(path),
				rule:     r,
				contract: contract,
				free:     op.Extensions["x-cost"] == 0.0,
			})
		}
	}
	if len(operations) != len(rules) {
		return nil, fmt.Errorf("openapi.yaml has %d operations, but there are %d rules", len(operations), len(rules))
	}
	slices.SortFunc(operations, func(a, b operation) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method)) })
	return operations, nil
})

// echoPath turns /v1/projects/{project_id} into /v1/projects/:project_id.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// register puts every operation on e, HEAD beside GET.
func register(e *echo.Echo, g *guard, operations []operation, h *handlers) error {
	generated := generatedHandlers{handlers: map[route]echo.HandlerFunc{}}
	RegisterHandlers(generated, NewStrictHandler(h, nil))
	for _, op := range operations {
		if op.id == forwardAuth {
			continue // the edge answers it
		}
		handler, ok := generated.handlers[route{op.method, op.path}]
		if !ok {
			return fmt.Errorf("nothing handles %s %s", op.method, op.path)
		}
		methods := []string{op.method}
		if op.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			e.Add(method, op.path, unshadowed(op, operations, op.serve(handler)))
			g.ruled[route{method, op.path}] = true
		}
	}
	return nil
}

// unshadowed keeps a templated path from answering for a concrete one with a method
// that only the templated path has. OpenAPI matches concrete paths first, but Echo
// matches the method first. So DELETE /v1/me/sessions/revoke-others is a wrong
// method, and not a session with that name.
func unshadowed(op operation, operations []operation, next echo.HandlerFunc) echo.HandlerFunc {
	allow := map[string]string{}
	for _, other := range operations {
		if other.path != op.path && matches(op.path, other.path) {
			allow[other.path] = cmp.Or(allow[other.path], http.MethodOptions) + ", " + other.method
		}
	}
	if len(allow) == 0 {
		return next
	}
	return func(c echo.Context) error {
		for path, methods := range allow {
			if matches(path, c.Request().URL.Path) {
				c.Response().Header().Set(echo.HeaderAllow, methods)
				return echo.ErrMethodNotAllowed
			}
		}
		return next(c)
	}
}

// matches reports whether path matches a template in Echo's notation.
func matches(template, path string) bool {
	return slices.EqualFunc(strings.Split(template, "/"), strings.Split(path, "/"), func(want, part string) bool {
		return want == part || strings.HasPrefix(want, ":")
	})
}

// serve handles every request to an operation: it checks the permission, then the
// contract, and calls the handler. Answers may not be cached, because they are for
// the caller only and some contain secrets.
func (op operation) serve(handler echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		call, _ := callOf(c.Request().Context())
		call.operation, call.free = op.id, op.free
		c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
		if op.contract.negotiated {
			c.Response().Header().Add(echo.HeaderVary, echo.HeaderAccept)
		}
		if err := call.admit(c, op.rule.permission); err != nil {
			return err
		}
		if err := op.contract.checkPath(c); err != nil {
			return err
		}
		if op.contract.takesLargeBodies() {
			if err := call.mayAct(c, op.rule.action); err != nil {
				return err
			}
		}
		if op.contract.form {
			return op.serveForm(c, call, handler)
		}
		defer call.leave()
		if err := op.contract.check(c, call.room(c.Request().Context())); err != nil {
			return err
		}
		return handler(c)
	}
}

// serveForm is the rest of serve for an operation of OAuth.
func (op operation) serveForm(c echo.Context, call *call, handler echo.HandlerFunc) error {
	if err := op.contract.checkQuery(c); err != nil {
		return err
	}
	err := call.readForm(c.Request(), c.Response().Writer)
	if err == nil {
		err = handler(c)
	}
	if err != nil {
		err = call.answerOAuth(c, err)
	}
	return err
}

// generatedHandlers collects the handlers that the generated code registers.
type generatedHandlers struct {
	EchoRouter // nil, because openapi.yaml uses no other methods

	handlers map[route]echo.HandlerFunc
}

func (g generatedHandlers) add(method, path string, h echo.HandlerFunc) *echo.Route {
	g.handlers[route{method, path}] = h
	return nil
}

func (g generatedHandlers) GET(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodGet, path, h)
}

func (g generatedHandlers) POST(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodPost, path, h)
}

func (g generatedHandlers) PATCH(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodPatch, path, h)
}

func (g generatedHandlers) DELETE(path string, h echo.HandlerFunc, _ ...echo.MiddlewareFunc) *echo.Route {
	return g.add(http.MethodDelete, path, h)
}

// Route is an operation in the list of the command line.
type Route struct {
	Method     string
	Path       string
	Operation  string
	Permission permission.Permission
	Action     domain.Action // empty: it needs none
}

// Routes returns every operation and who may call it.
func Routes() ([]Route, error) {
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	var routes []Route
	for _, op := range operations {
		routes = append(routes, Route{op.method, op.path, op.id, op.rule.permission, op.rule.action})
	}
	return routes, nil
}
