package api

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Names of OAuth that are used more than once.
const (
	clientCredentials = "client_credentials"
	tokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // a name
	typeAccessToken   = "urn:ietf:params:oauth:token-type:access_token"   //nolint:gosec // a name
	typeJWT           = "urn:ietf:params:oauth:token-type:jwt"
)

// IssueToken issues an access token of an API key.
func (h *handlers) IssueToken(ctx context.Context, r IssueTokenRequestObject) (IssueTokenResponseObject, error) {
	issuer, err := h.issuer(ctx, r.ProjectID)
	if err != nil {
		return nil, err
	}
	client, err := h.client(ctx, issuer)
	if err != nil {
		return nil, err
	}
	form := callForm(ctx)
	subject, kind := client, ""
	if form.Get("grant_type") != clientCredentials {
		kind = typeJWT
		if subject, err = exchanged(ctx, issuer, client, form); err != nil {
			return nil, err
		}
	}
	token, err := issuer.Issue(subject, askedScopes(form), form.Get("resource"))
	return IssueToken200JSONResponse{
		AccessToken:     token.Text,
		TokenType:       bearer,
		ExpiresIn:       int64(token.Life.Seconds()),
		Scope:           token.Scope,
		IssuedTokenType: orNil(kind),
	}, err
}

// exchanged returns the key whose token is exchanged (RFC 8693).
func exchanged(ctx context.Context, issuer service.Issuer, client domain.ProvenKey, form url.Values) (domain.ProvenKey, error) {
	var none domain.ProvenKey
	switch requested := form.Get("requested_token_type"); {
	case form.Get("grant_type") != tokenExchange:
		return none, refusedByOAuth("unsupported_grant_type", "The grant types are "+clientCredentials+" and "+tokenExchange+".")
	case form.Has("actor_token"):
		return none, refusedByOAuth("invalid_request", "There are no actor tokens here.")
	case form.Get("subject_token_type") != typeAccessToken:
		return none, refusedByOAuth("invalid_request", "The subject_token_type must be "+typeAccessToken+".")
	case requested != "" && requested != typeAccessToken && requested != typeJWT:
		return none, refusedByOAuth("invalid_request", "The requested_token_type must be "+typeJWT+".")
	case !client.Holds(domain.KeysVerify):
		return none, refusedByOAuth("unauthorized_client", "An exchange needs the scope keys:verify.")
	}
	subject, err := issuer.Subject(ctx, form.Get("subject_token"))
	if domain.CodeOf(err) == domain.CodeInvalidAPIKey {
		err = refusedByOAuth("invalid_request", "The subject_token is not a good key of this project.")
	}
	return subject, err
}

// IntrospectToken says what is known about a token.
func (h *handlers) IntrospectToken(ctx context.Context, r IntrospectTokenRequestObject) (IntrospectTokenResponseObject, error) {
	issuer, err := h.issuer(ctx, r.ProjectID)
	if err != nil {
		return nil, err
	}
	client, err := h.client(ctx, issuer)
	if err != nil {
		return nil, err
	}
	form := callForm(ctx)
	if !form.Has("token") {
		return nil, refusedByOAuth("invalid_request", "The token is missing.")
	}
	caller := domain.ProvenPrincipal(client, nil, origin(ctx))
	found, err := issuer.Introspect(ctx, caller, form.Get("token"), form.Get("ip"))
	if err != nil || !found.Active() {
		return IntrospectToken200JSONResponse{}, err
	}
	key := found.Key
	answer := IntrospectToken200JSONResponse{
		Active:      true,
		TokenType:   new(bearer),
		Sub:         new(string(key.ID)),
		ClientID:    new(string(key.ID)),
		Scope:       &found.Scope,
		Iss:         new(issuer.URL()),
		Aud:         &found.Audience,
		Iat:         new(found.IssuedAt.Unix()),
		ExternalID:  orNil(key.ExternalID),
		Environment: new(string(key.Environment)),
		ProjectID:   new(string(key.ProjectID)),
		Name:        &key.Name,
	}
	if !found.Until.IsZero() {
		answer.Exp = new(found.Until.Unix())
	}
	return answer, nil
}

// GetProtectedResource answers the metadata of the API that a project protects.
func (h *handlers) GetProtectedResource(
	ctx context.Context, r GetProtectedResourceRequestObject,
) (GetProtectedResourceResponseObject, error) {
	issuer, err := h.issuer(ctx, r.ProjectID)
	if err != nil {
		return nil, err
	}
	return protectedResource{
		Resource: issuer.Audience(), AuthorizationServers: []string{issuer.URL()}, BearerMethodsSupported: []string{"header"},
	}, nil
}

// protectedResource is metadata that may be cached.
type protectedResource GetProtectedResource200JSONResponse

// VisitGetProtectedResourceResponse writes the document.
func (d protectedResource) VisitGetProtectedResourceResponse(w http.ResponseWriter) error {
	w.Header().Set("Cache-Control", issuerAge)
	return GetProtectedResource200JSONResponse(d).VisitGetProtectedResourceResponse(w)
}

// client proves the key that calls, as an OAuth client: by HTTP Basic, in the form, or
// as API keys are sent everywhere. Two of these are a mistake.
func (h *handlers) client(ctx context.Context, issuer service.Issuer) (domain.ProvenKey, error) {
	call, _ := callOf(ctx)
	form := call.form
	id, token, given := form.Get("client_id"), form.Get("client_secret"), 0
	if form.Has("client_secret") {
		given++
	}
	if basicID, basicToken, ok := basicClient(call.authorization); ok {
		id, token, given = basicID, basicToken, given+1
	}
	if call.sent.hasKey {
		token, given = call.sent.key, given+1
	}
	switch {
	case given > 1:
		return domain.ProvenKey{}, refusedByOAuth("invalid_request", "Authenticate the client in one way only.")
	case !visible(token, maxTokenLength):
		return domain.ProvenKey{}, errNoClient
	}
	key, err := issuer.Prove(ctx, token, call)
	if err == nil && id != "" && id != string(key.ID()) {
		err = errNoClient
	}
	return key, err
}

// basicClient returns the client of HTTP Basic, each half of which is encoded as in a
// form (RFC 6749, section 2.3.1).
func basicClient(authorization string) (id, token string, ok bool) {
	scheme, credentials := cutScheme(authorization)
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	text, _ := base64.StdEncoding.DecodeString(credentials) // what is broken proves nothing
	id, token, _ = strings.Cut(string(text), ":")
	if plain, err := url.QueryUnescape(id); err == nil {
		id = plain
	}
	if plain, err := url.QueryUnescape(token); err == nil {
		token = plain
	}
	return id, token, true
}

// askedScopes returns the scopes that a form asks for.
func askedScopes(form url.Values) (scopes []domain.Scope) {
	for s := range strings.FieldsSeq(form.Get("scope")) {
		scopes = append(scopes, domain.Scope(s))
	}
	return scopes
}

// oauthError is an error in OAuth's words (RFC 6749, section 5.2).
type oauthError struct {
	status            int
	code, description string
}

// refusedByOAuth is a mistake of the client.
func refusedByOAuth(code, description string) oauthError {
	return oauthError{http.StatusBadRequest, code, description}
}

func (e oauthError) Error() string { return e.code + ": " + e.description }

var errNoClient = domain.Refused(domain.CodeInvalidAPIKey, "The client is not a good key of this project.")

// oauthErrorOf says an error in OAuth's words; false if it has none for it.
func oauthErrorOf(err error) (oauthError, bool) {
	if e, ok := errors.AsType[oauthError](err); ok {
		return e, true
	}
	switch {
	case errors.Is(err, service.ErrAskEachTime):
		return refusedByOAuth("unauthorized_client", "A key with limits or allowed_ips gets no access token: ask each time."), true
	case errors.Is(err, service.ErrInvalidScope):
		return refusedByOAuth("invalid_scope", "The scopes must be the project's own, and held by the key; at most 1 KiB of them."), true
	case errors.Is(err, service.ErrInvalidTarget):
		return refusedByOAuth("invalid_target", "The resource must be the audience of the project."), true
	}
	refused, ok := errors.AsType[*domain.Error](err)
	if !ok {
		return oauthError{}, false
	}
	status, code, description, ok := problem.OAuth(refused)
	return oauthError{status, code, description}, ok
}

// answerOAuth answers an error of an operation of OAuth, unless OAuth has no words for
// it.
func (c *call) answerOAuth(ec echo.Context, err error) error {
	e, ok := oauthErrorOf(err)
	if !ok || ec.Response().Committed {
		return err
	}
	switch e.status {
	case http.StatusUnauthorized:
		ec.Response().Header().Set(echo.HeaderWWWAuthenticate, "Basic "+realm)
	case http.StatusServiceUnavailable:
		ec.Response().Header().Set(echo.HeaderRetryAfter, "1")
		if c.isLogged(ec.Request().Method, e.status) {
			c.logFault(ec, e.status, err)
		}
	}
	return ec.JSON(e.status, OAuthError{Error: e.code, ErrorDescription: e.description})
}
