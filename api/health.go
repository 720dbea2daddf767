package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/latchkey-dev/latchkey/service"
)

// GetLiveness answers as long as the process runs.
func (h *handlers) GetLiveness(context.Context, GetLivenessRequestObject) (GetLivenessResponseObject, error) {
	return GetLiveness200JSONResponse{Status: HealthStatusOk}, nil
}

// GetReadiness answers unavailable while requests cannot be served, and degraded
// while only requests of known callers can be.
func (h *handlers) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	if err := h.app.Ready(ctx); err != nil {
		return nil, err
	}
	if h.app.Sync() == service.Degraded {
		return GetReadiness200JSONResponse{Status: HealthStatusDegraded}, nil
	}
	return GetReadiness200JSONResponse{Status: HealthStatusOk}, nil
}

// GetJWKS answers the public keys of access tokens.
func (h *handlers) GetJWKS(ctx context.Context, _ GetJWKSRequestObject) (GetJWKSResponseObject, error) {
	return keySet(h.app.JWKS(ctx)), nil
}

// keySet is an answer that may be cached. A new key is published for longer than
// that before it signs tokens.
type keySet GetJWKS200JSONResponse

var keySetAge = fmt.Sprintf("public, max-age=%d", int(service.SigningAge.Seconds()))

// VisitGetJWKSResponse writes the key set.
func (s keySet) VisitGetJWKSResponse(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", keySetAge)
	return GetJWKS200JSONResponse(s).VisitGetJWKSResponse(w)
}
