package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// GetIssuer answers the metadata of a project as an issuer, where OpenID Connect
// Discovery puts it.
func (h *handlers) GetIssuer(ctx context.Context, r GetIssuerRequestObject) (GetIssuerResponseObject, error) {
	document, err := h.metadata(ctx, r.ProjectID)
	return issuerDocument(document), err
}

// GetAuthorizationServer answers the same, where RFC 8414 puts it.
func (h *handlers) GetAuthorizationServer(
	ctx context.Context, r GetAuthorizationServerRequestObject,
) (GetAuthorizationServerResponseObject, error) {
	document, err := h.metadata(ctx, r.ProjectID)
	return issuerDocument(document), err
}

// GetProjectJWKS answers the public keys of a project's access tokens.
func (h *handlers) GetProjectJWKS(ctx context.Context, r GetProjectJWKSRequestObject) (GetProjectJWKSResponseObject, error) {
	issuer, err := h.issuer(ctx, r.ProjectID)
	if err != nil {
		return nil, err
	}
	keys, err := issuer.Keys()
	set := projectKeySet{Keys: []ProjectJWK{}}
	for _, k := range keys {
		x, y := k.Coordinates()
		set.Keys = append(set.Keys, ProjectJWK{
			Kty: "EC",
			Crv: "P-256",
			Alg: "ES256",
			Use: "sig",
			Kid: k.ID,
			X:   x,
			Y:   y,
		})
	}
	return set, err
}

// issuer returns the issuer of a project, for anyone.
func (h *handlers) issuer(ctx context.Context, id domain.ProjectID) (service.Issuer, error) {
	sender, _ := callOf(ctx)
	return h.app.Issuer(ctx, id, sender)
}

func (h *handlers) metadata(ctx context.Context, id domain.ProjectID) (IssuerMetadata, error) {
	issuer, err := h.issuer(ctx, id)
	if err != nil {
		return IssuerMetadata{}, err
	}
	return IssuerMetadata{
		Issuer:                            issuer.URL(),
		JWKSURI:                           issuer.URL() + "/jwks.json",
		TokenEndpoint:                     issuer.URL() + "/oauth/token",
		IntrospectionEndpoint:             issuer.URL() + "/oauth/introspect",
		GrantTypesSupported:               []string{clientCredentials, tokenExchange},
		TokenEndpointAuthMethodsSupported: []string{"client_secret_basic", "client_secret_post"},
		ResponseTypesSupported:            []string{},
		SubjectTypesSupported:             []string{"public"},
		IDTokenSigningAlgValuesSupported:  []string{"ES256"},
	}, nil
}

var issuerAge = fmt.Sprintf("public, max-age=%d", int(service.IssuerKeysAge.Seconds()))

// issuerDocument is metadata that may be cached.
type issuerDocument GetIssuer200JSONResponse

// VisitGetIssuerResponse writes the document.
func (d issuerDocument) VisitGetIssuerResponse(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", issuerAge)
	return GetIssuer200JSONResponse(d).VisitGetIssuerResponse(w)
}

// VisitGetAuthorizationServerResponse writes the document.
func (d issuerDocument) VisitGetAuthorizationServerResponse(w http.ResponseWriter) error {
	return d.VisitGetIssuerResponse(w)
}

// projectKeySet is a key set that may be cached.
type projectKeySet GetProjectJWKS200JSONResponse

// VisitGetProjectJWKSResponse writes the key set.
func (s projectKeySet) VisitGetProjectJWKSResponse(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", issuerAge)
	return GetProjectJWKS200JSONResponse(s).VisitGetProjectJWKSResponse(w)
}
