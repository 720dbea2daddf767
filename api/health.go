package api

import "context"

// GetLiveness answers as long as the process can.
func (h *handlers) GetLiveness(context.Context, GetLivenessRequestObject) (GetLivenessResponseObject, error) {
	return GetLiveness200JSONResponse{Status: HealthStatusOk}, nil
}

// GetReadiness answers unavailable while requests cannot be served.
func (h *handlers) GetReadiness(ctx context.Context, _ GetReadinessRequestObject) (GetReadinessResponseObject, error) {
	if err := h.app.Ready(ctx); err != nil {
		return nil, err
	}
	return GetReadiness200JSONResponse{Status: HealthStatusOk}, nil
}

// GetJWKS answers the public keys of access tokens.
func (h *handlers) GetJWKS(context.Context, GetJWKSRequestObject) (GetJWKSResponseObject, error) {
	return GetJWKS200JSONResponse(h.app.JWKS()), nil
}
