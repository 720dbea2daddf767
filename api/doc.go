// Package api is Latchkey's HTTP face: an Echo server whose types and routes
// are generated from openapi.yaml.
//
// A request passes the edge (request id, recover, access log), the router, and
// then, in the order of guard.go: credentials, the permission of its operation,
// the contract, and a handler of a few lines that asks the service for an
// authorized handle and maps the answer. Errors become RFC 9457 problems in
// api/problem.
//
// Authenticate, Require, Principal and Project guard routes of anyone's own
// *echo.Echo with the same permissions.
package api

//go:generate go tool oapi-codegen --config oapi-codegen.yaml ../openapi.yaml
