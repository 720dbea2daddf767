package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// sender sends one request of the generated code with credentials, and retries it
// if that is safe. It returns an answer only if the instance did what was asked.
type sender struct {
	base        string // the path that the instance's public URL ends with
	http        http.Client
	credentials Credentials
	public      *ClientWithResponses
	attempts    int
	maxWait     time.Duration
}

// Do sends the request. A request whose body cannot be read again is sent once.
func (s *sender) Do(req *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(req.URL.Path, s.base)
	if takesIdempotencyKey(req.Method, path) && req.Header.Get("Idempotency-Key") == "" {
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	renewed := false
	for attempt := 1; ; {
		if !isPublic(path) {
			if err := s.credentials.authorize(req, s.public); err != nil {
				return nil, err
			}
		}
		res, err := s.send(req, path)
		if err == nil {
			return res, nil
		}
		e, refused := errors.AsType[*Error](err)
		renew := refused && !renewed && !isPublic(path) && s.credentials.refused(req, e)
		if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
			return nil, err
		}
		if renew {
			renewed = true
		} else {
			wait := backoff(attempt)
			if refused && e.RetryAfter > 0 {
				wait = e.RetryAfter
			}
			if attempt >= s.attempts || wait > s.maxWait || !mayRepeat(req, path, e) {
				return nil, err
			}
			attempt++
			if ended := sleep(req.Context(), wait); ended != nil {
				return nil, fmt.Errorf("%w (no further attempt: %w)", err, ended)
			}
		}
		if err := rewind(req); err != nil {
			return nil, err
		}
	}
}

// refreshPatience is how long an attempt to refresh a session may take. The same
// refresh token gets the same answer for ten seconds, and later ends the session,
// so all attempts must fit into that time.
const refreshPatience = 2500 * time.Millisecond

// send sends the request once. It reads the whole of a JSON answer, so that an
// incomplete one counts as lost. An export is streamed.
func (s *sender) send(req *http.Request, path string) (*http.Response, error) {
	if path == refreshPath {
		ctx, cancel := context.WithTimeout(req.Context(), refreshPatience)
		defer cancel()
		req = req.WithContext(ctx)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if e := refusal(res); e != nil {
		return nil, e
	}
	if isJSON(res) {
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			return nil, err
		}
		res.Body = io.NopCloser(bytes.NewReader(body))
	}
	return res, nil
}

const refreshPath = "/v1/auth/refresh"

// The operations that ignore credentials, those that take an Idempotency-Key, and
// those that are harmless when repeated: another log-in is another session. Tests
// compare the first two with openapi.yaml.
var (
	publicPath = regexp.MustCompile(`^/(healthz|readyz|openapi\.yaml|openapi\.json|docs|docs/errors|` +
		`\.well-known/(jwks\.json|oauth-authorization-server/v1/projects/[^/]+)|` +
		`v1/projects/[^/]+/(\.well-known/openid-configuration|jwks\.json|oauth/(token|introspect)|oauth-protected-resource|` +
		`forward-auth/[^/]+)|` +
		`v1/leaks|` +
		`v1/auth/(signup|login|refresh|email/verify|password/(forgot|reset)))$`)
	idempotencyPath = regexp.MustCompile(`^/v1/(keys/spend|organizations|` +
		`organizations/[^/]+/(projects|invitations|service-accounts(/[^/]+/tokens)?)|` +
		`projects/[^/]+/(plans|credits(/refund)?|keys(/[^/]+/rotate)?|webhooks(/[^/]+/rotate)?))$`)
	repeatablePath = regexp.MustCompile(`^/v1/(keys/(verify|sync)|auth/(login|refresh)|projects/[^/]+/keys/[^/]+/revoke)$`)
)

func isPublic(path string) bool { return publicPath.MatchString(path) }

func takesIdempotencyKey(method, path string) bool {
	return method == http.MethodPost && idempotencyPath.MatchString(path)
}

// mayRepeat reports whether it is safe and useful to send the request again after
// it was refused with e or, if e is nil, its answer was lost.
func mayRepeat(req *http.Request, path string, e *Error) bool {
	if req.Context().Err() != nil {
		return false
	}
	if e != nil && e.Status == http.StatusTooManyRequests {
		return true // refused before anything was done
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
	default:
		if req.Header.Get("Idempotency-Key") == "" && !repeatablePath.MatchString(path) {
			return false
		}
	}
	if e == nil {
		return true
	}
	switch e.Status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return e.Code == ErrorCodeInFlight // the first attempt is still being answered
	}
}

// backoff grows from a tenth of a second to half a minute. It is random, so that
// clients that failed together do not retry together.
func backoff(attempt int) time.Duration {
	longest := min(100*time.Millisecond<<min(attempt, 10), 30*time.Second)
	return longest/2 + mathrand.N(longest/2) //nolint:gosec // this need not be unpredictable
}

// sleep waits, unless ctx ends first or will certainly end before.
func sleep(ctx context.Context, d time.Duration) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func rewind(req *http.Request) error {
	if req.GetBody == nil {
		return nil
	}
	body, err := req.GetBody()
	if err != nil {
		return err
	}
	req.Body = body
	return nil
}
