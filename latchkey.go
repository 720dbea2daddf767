// Package latchkey holds the contract of Latchkey's HTTP API, from which
// servers and clients are generated.
package latchkey

import _ "embed"

// OpenAPI is openapi.yaml: an OpenAPI 3.0.3 document with the header names and
// the address of an instance that has not been configured otherwise. A running
// instance serves its own at /openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
