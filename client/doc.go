// Package client calls a Latchkey instance from Go.
//
// The types and one method for each operation are generated from openapi.yaml. The
// rest is written by hand: credentials that renew themselves, retries that cannot
// do anything twice, refusals as typed errors, and lists without pages.
//
//	c, err := client.New("https://keys.example.com", client.APIKey(token))
//	…
//	answer, err := c.GetCurrentProjectWithResponse(ctx)
//	if err != nil {
//		return err // an *Error if Latchkey refused
//	}
//	project := answer.JSON200
//
// If the error is nil, the answer's field for the status in openapi.yaml, such as
// JSON200, is set.
package client

//go:generate go tool oapi-codegen --config oapi-codegen.yaml ../openapi.yaml
