package latchkey_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/latchkey-dev/latchkey"
)

// The contract is a valid OpenAPI document, examples included.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(latchkey.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
}
