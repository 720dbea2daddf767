// Package latchkey contains the contract of Latchkey's HTTP API. Servers and
// clients are generated from it.
package latchkey

import _ "embed"

// OpenAPI is openapi.yaml: an OpenAPI 3.0.3 document with the default header names
// and address of an instance. A running instance serves its own at /openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
