package main

import (
	"encoding/json"
	"log"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// example is a body: the first example of the contract, or else its required
// fields, with variables where given says so.
func example(op *openapi3.Operation) string {
	media := op.RequestBody.Value.Content.Get("application/json")
	values := map[string]any{}
	switch names := slices.Sorted(keys(media.Examples)); {
	case media.Example != nil:
		values = media.Example.(map[string]any)
	case len(names) > 0:
		values = media.Examples[names[0]].Value.Value.(map[string]any)
	default:
		for _, field := range media.Schema.Value.Required {
			values[field] = media.Schema.Value.Properties[field].Value.Example
		}
	}
	if op.OperationID == "updateProject" {
		delete(values, "status") // disabling it would end the key that calls
	}
	for field, value := range given[op.OperationID] {
		values[field] = value
	}
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	return string(text)
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
