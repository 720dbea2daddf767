package problem

import (
	"net/http"

	"github.com/latchkey-dev/latchkey/domain"
)

// OAuth says an error in OAuth's words (RFC 6749, section 5.2). It reports false for
// one that OAuth has no words for, such as a project that does not exist.
func OAuth(e *domain.Error) (status int, code, description string, ok bool) {
	switch {
	case e.Credential || e.Code == domain.CodeAddressNotAllowed:
		return http.StatusUnauthorized, "invalid_client",
			"The client is not a good key of this project: client_id is its id, and client_secret its token.", true
	case e.Code == domain.CodeUnavailable:
		return http.StatusServiceUnavailable, "temporarily_unavailable", "The answer cannot be known right now. Try again.", true
	case e.Code == domain.CodeForbidden:
		return http.StatusForbidden, "insufficient_scope", "This needs the scope keys:verify.", true
	case e.Code == domain.CodeNotFound || e.Code == domain.CodeInternal:
		return 0, "", "", false
	}
	return http.StatusBadRequest, "invalid_request", e.Detail, true
}
