package api

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/problem"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// forwardAuth is the operation of this file. The generated server leaves it out.
const forwardAuth = "forwardAuth"

// Headers of the answer to a proxy.
const (
	headerCode       = "X-Latchkey-Code"
	headerKey        = "X-Latchkey-Key"
	headerExternalID = "X-Latchkey-External-Id"
	headerScope      = "X-Latchkey-Scope"
)

// forwardBody is the longest body, in bytes, after which the connection of a proxy is
// kept. No body is read.
const forwardBody = 64 << 10

// maxRouteScopes is how many scopes a route may need.
const maxRouteScopes = 100

// forward answers forwardAuth. What a proxy asks about is the request of someone else, so
// this comes before everything that the API asks of its own requests: the method, the
// query, Origin, Accept, Content-Type and the body are those of the client of the proxy,
// and are not read. Host, X-Forwarded-Host, X-Forwarded-Uri and the like are not, either:
// what a route needs is in the path, which is the operator's.
type forward struct {
	*lean

	clients *addresses
	vary    []string
}

func newForward(g *guard, meter *metrics, op operation, clients *addresses) *forward {
	return &forward{
		lean:    &lean{guard: g, meter: meter, series: meter.operations[op.id], operation: op},
		clients: clients,
		vary:    []string{authorization + ", " + g.credentials.header()},
	}
}

// forwardPath is the path of forwardAuth, with nothing decoded. What follows the route
// is the path of the client's request, where the proxy appends it.
type forwardPath struct{ project, route, rest string }

const projectPaths = "/v1/projects/"

// forwardPathOf returns the path of a request if it is one of forwardAuth.
func forwardPathOf(u *url.URL) (p forwardPath, ok bool) {
	const place = "forward-auth/"
	if !strings.HasPrefix(u.Path, projectPaths) || !strings.Contains(u.Path, place) {
		return p, false
	}
	rest, ok := strings.CutPrefix(u.EscapedPath(), projectPaths)
	if !ok {
		return p, false
	}
	p.project, rest, _ = strings.Cut(rest, "/")
	if rest, ok = strings.CutPrefix(rest, place); !ok {
		return forwardPath{}, false
	}
	p.route, p.rest, _ = strings.Cut(rest, "/")
	return p, true
}

// serve answers the request. A panic is an internal error.
func (f *forward) serve(c echo.Context, p forwardPath, start time.Time) {
	r, h, id := c.Request(), c.Response().Header(), requestID()
	h[headerRequestID] = []string{id}
	h[echo.HeaderVary] = f.vary
	if r.ContentLength < 0 || r.ContentLength > forwardBody {
		h.Set(echo.HeaderConnection, "close")
	}
	var passed service.Forwarded
	err := recovered(func(echo.Context) (err error) {
		passed, err = f.judge(c, p)
		return err
	}, c)
	caller := domain.Principal{}
	if !passed.Key.IsZero() {
		caller = domain.ProvenPrincipal(passed.Key, nil, domain.Origin{})
	}
	setRateLimit(h, &passed.Limits)
	if err != nil {
		f.refuse(c, p, err, caller, id, start)
		return
	}
	to := passed.Identity
	values := [...]string{to.Authorization, to.Key, to.ExternalID, to.Scope}
	for i, name := range [...]string{authorization, headerKey, headerExternalID, headerScope} {
		h[name] = values[i : i+1 : i+1]
	}
	h[echo.HeaderCacheControl] = leanNoStore
	c.Response().WriteHeader(http.StatusOK)
	f.note(c, http.StatusOK, caller, id, start, isSampled())
}

// judge finds out whether the request may pass.
func (f *forward) judge(c echo.Context, p forwardPath) (service.Forwarded, error) {
	if !isClean(p.rest) {
		return service.Forwarded{}, domain.Errorf(domain.CodeBadRequestPath,
			"The path has an empty segment, a dot segment, a backslash, or one of these in encoded form.")
	}
	project, err := domain.ParseID[domain.ProjectID](p.project)
	if err != nil {
		return service.Forwarded{}, service.Misconfigured("The path has no id of a project.")
	}
	q, ok := parseRoute(p.route)
	if !ok {
		return service.Forwarded{}, service.Misconfigured("The path has no scopes: write documents:read,reports:read, or -.")
	}
	token, isSigned, err := f.presented(c.Request().Header)
	if err != nil {
		return service.Forwarded{}, err
	}
	q.Token, q.IP = token, f.clients.forwarded(c.Request())
	asks := service.Forwarding{Question: q, Project: project, Route: p.route, Signed: isSigned}
	return f.guard.app.Forward(c.Request().Context(), asks, c)
}

// presented returns the key of a request, or the access token of a key. Here, Bearer is a
// word of the customer: many clients send API keys with it. Two credentials refuse the
// request, since the API behind the proxy might read the other one.
func (f *forward) presented(h http.Header) (token string, isSigned bool, err error) {
	s, err := f.guard.credentials.read(h)
	switch {
	case err != nil:
		if refused, ok := err.(*domain.Error); ok && !refused.Credential { //nolint:errorlint // read wraps nothing
			err = domain.Refused(refused.Code, refused.Detail)
		}
		return "", false, err
	case s.hasKey && s.hasAccessToken:
		return "", false, domain.Refused(domain.CodeAmbiguousCredentials, "Two credentials were sent. Send one API key.")
	case s.hasKey:
		return s.key, false, nil
	case !s.hasAccessToken:
		return "", false, domain.Refused(domain.CodeUnauthenticated, "Authentication required. Send an API key.")
	case isJWT(s.accessToken):
		return s.accessToken, true, nil
	case !visible(s.accessToken, maxTokenLength):
		return "", false, domain.Refused(domain.CodeInvalidAPIKey, "The API key is not valid.")
	}
	return s.accessToken, false, nil
}

// isJWT reports whether a token is a signed JWT (RFC 7519): three parts in base64url, of
// which the first is an object with an algorithm.
func isJWT(token string) bool {
	head, rest, ok := strings.Cut(token, ".")
	if !ok || strings.Count(rest, ".") != 1 {
		return false
	}
	var header struct {
		Alg string `json:"alg"`
	}
	text, err := base64.RawURLEncoding.DecodeString(head)
	return err == nil && json.Unmarshal(text, &header) == nil && header.Alg != ""
}

// parseRoute reads what a route needs: scopes of the project and at most one environment,
// in any order; or "-", which is neither. Clients of the contract may encode ':' and ','.
func parseRoute(text string) (q service.Question, ok bool) {
	if strings.Contains(text, "%") {
		var err error
		if text, err = url.PathUnescape(text); err != nil {
			return q, false
		}
	}
	if text == "-" {
		return q, true
	}
	for each := range strings.SplitSeq(text, ",") {
		switch environment := domain.Environment(each); {
		case environment == domain.Live || environment == domain.Test:
			if q.Environment != "" {
				return q, false
			}
			q.Environment = environment
		case !isScope(each) || len(q.Scopes) == maxRouteScopes || slices.Contains(q.Scopes, domain.Scope(each)):
			return q, false
		default:
			q.Scopes = append(q.Scopes, domain.Scope(each))
		}
	}
	return q, true
}

// isClean reports whether every program reads a path in the same way. A program between
// the proxy and Latchkey that resolves dot segments could otherwise turn the route of
// write/-/../read into that of read.
func isClean(rest string) bool {
	for segment := range strings.SplitSeq(rest, "/") {
		name, _, _ := strings.Cut(strings.ToLower(segment), ";") // some programs cut parameters off first
		name, _, _ = strings.Cut(name, "%3b")
		if name == "." || name == ".." || isUnclear(segment) {
			return false
		}
	}
	return !strings.Contains(rest, "//") && !strings.HasPrefix(rest, "/")
}

// isUnclear reports whether a segment holds a dot, a slash or a backslash in encoded form,
// once or more often, or a backslash.
func isUnclear(segment string) bool {
	if strings.Contains(segment, `\`) {
		return true
	}
	for {
		_, after, ok := strings.Cut(segment, "%")
		if !ok {
			return false
		}
		segment = after
		for strings.HasPrefix(after, "25") {
			after = after[2:]
		}
		if len(after) >= 2 && slices.Contains([]string{"2e", "2f", "5c", "00"}, strings.ToLower(after[:2])) {
			return true
		}
	}
}

// refuse answers a request that may not pass. Proxies hand the answer to the client, so it
// says nothing about whose key it is.
func (f *forward) refuse(c echo.Context, p forwardPath, err error, caller domain.Principal, id string, start time.Time) {
	f.meter.refused(err)
	answer := problem.From(err, id)
	answer.Type = f.guard.site.Path(answer.Type)
	call, h := f.call(c, caller, id), c.Response().Header()
	h[headerCode] = []string{string(answer.Code)}
	switch {
	case answer.Status == http.StatusUnauthorized:
		h[http.CanonicalHeaderKey(echo.HeaderWWWAuthenticate)] = []string{f.challenge(p, answer.Code)}
	case answer.Status >= http.StatusInternalServerError && call.isLogged(http.MethodGet, answer.Status):
		call.logFault(c, answer.Status, err)
	case answer.Code != domain.CodeMisconfigured && answer.Code != domain.CodeBadRequestPath:
	case call.isLogged(http.MethodGet, answer.Status):
		peer, _, _ := net.SplitHostPort(c.Request().RemoteAddr)
		f.guard.log.LogAttrs(c.Request().Context(), slog.LevelWarn, "a proxy has asked in a way that cannot be answered",
			slog.String("request_id", id), slog.String("code", string(answer.Code)), slog.String("proxy", peer))
	}
	_ = answer.Write(c.Response()) // fails only if the proxy has left
	took := time.Since(start)
	f.meter.count(f.series, f.operation.id, answer.Status, took)
	f.guard.logRequest(c, call, took)
}

// challenge returns the one value of WWW-Authenticate: nginx passes on the first. It says
// where the metadata of the API is (RFC 9728, section 5.1).
func (f *forward) challenge(p forwardPath, code domain.Code) string {
	metadata := f.guard.site.URL(projectPaths + p.project + "/oauth-protected-resource")
	return f.guard.credentials.keyChallenge(code) + `, resource_metadata="` + metadata + `"`
}
