// Package client calls a Latchkey instance from Go.
//
// The types and one method for each operation are generated from openapi.yaml;
// the part written by hand adds what a program wants around them: credentials
// that renew themselves, retries that cannot do a thing twice, refusals as typed
// errors, and lists without pages.
//
//	c, err := client.New("https://keys.example.com", client.APIKey(token))
//	…
//	answer, err := c.GetCurrentProjectWithResponse(ctx)
//	if err != nil {
//		return err // an *Error where Latchkey refused
//	}
//	project := answer.JSON200
//
// Where the error is nil, the field of the answer that is named after the status
// in openapi.yaml, such as JSON200, is set.
package client

//go:generate go tool oapi-codegen --config oapi-codegen.yaml ../openapi.yaml
