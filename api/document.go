package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/latchkey-dev/latchkey"
	"github.com/latchkey-dev/latchkey/api/permission"
)

// defaultAddress is the address of the instance in openapi.yaml.
const defaultAddress = "http://127.0.0.1:8080"

// documents is the contract as this instance serves it.
type documents struct {
	yaml, json document
}

// OpenAPI returns the contract as YAML, with an instance's address and its
// header and keyword for API keys. An empty address means the default one.
func OpenAPI(address string, c Credentials) ([]byte, error) {
	docs, err := newDocuments(address, c)
	return docs.yaml, err
}

// newDocuments writes into the contract, its prose and its examples, the
// instance's address and the header and keyword for API keys. If API keys have
// their own header, the contract no longer offers Authorization for them.
func newDocuments(address string, c Credentials) (documents, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(latchkey.OpenAPI, &root); err != nil {
		return documents{}, err
	}
	if address == "" {
		address = defaultAddress
	}
	keyword := c.keyword()
	if keyword == "" {
		keyword = defaultKeyword
		withoutAuthorization(&root)
	}
	rewrite(&root, strings.NewReplacer(defaultAddress, strings.TrimSuffix(address, "/"), defaultHeader, c.header(), defaultKeyword,
		keyword))

	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(&root); err != nil {
		return documents{}, err
	}
	var values any
	if err := root.Decode(&values); err != nil {
		return documents{}, err
	}
	asJSON, err := json.Marshal(values)
	return documents{yaml: text.Bytes(), json: asJSON}, err
}

func rewrite(n *yaml.Node, r *strings.Replacer) {
	if n.Kind == yaml.ScalarNode {
		n.Value = r.Replace(n.Value)
	}
	for _, child := range n.Content {
		rewrite(child, r)
	}
}

// withoutAuthorization removes the scheme for keys in Authorization and every
// mention of it.
func withoutAuthorization(n *yaml.Node) {
	const scheme = string(permission.APIKeyAuthorization)
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == scheme {
				n.Content = slices.Delete(n.Content, i, i+2)
				i -= 2
			}
		}
	case yaml.SequenceNode:
		n.Content = slices.DeleteFunc(n.Content, func(item *yaml.Node) bool {
			return item.Kind == yaml.MappingNode && len(item.Content) == 2 && item.Content[0].Value == scheme
		})
	}
	for _, child := range n.Content {
		withoutAuthorization(child)
	}
}

// document is an answer that is the same for every caller until the next start.
type document []byte

func (d document) write(w http.ResponseWriter, mediaType string) error {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(d)
	return err
}

// VisitGetOpenAPIResponse writes the document.
func (d document) VisitGetOpenAPIResponse(w http.ResponseWriter) error {
	return d.write(w, "application/yaml")
}

// VisitGetOpenAPIJSONResponse writes the document.
func (d document) VisitGetOpenAPIJSONResponse(w http.ResponseWriter) error {
	return d.write(w, "application/json")
}

// GetOpenAPI answers the contract as YAML.
func (h *handlers) GetOpenAPI(context.Context, GetOpenAPIRequestObject) (GetOpenAPIResponseObject, error) {
	docs, err := h.documents()
	return docs.yaml, err
}

// GetOpenAPIJSON answers the contract as JSON.
func (h *handlers) GetOpenAPIJSON(context.Context, GetOpenAPIJSONRequestObject) (GetOpenAPIJSONResponseObject, error) {
	docs, err := h.documents()
	return docs.json, err
}
