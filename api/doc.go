// Package api is Latchkey's HTTP API: an Echo server whose types and routes are
// generated from openapi.yaml.
//
// A request passes the edge (request id, recovery from panics, access log) and the
// router. Then its credentials are checked, the permission of its operation, and
// the contract, in this order. A short handler asks the service for an authorized
// handle and maps the result to the answer. Package problem turns errors into RFC
// 9457 problems.
//
// Prove, Require, Principal and CallingProject guard the routes of your own
// *echo.Echo with the same permissions.
package api

//go:generate go tool oapi-codegen --config oapi-codegen.yaml ../openapi.yaml
