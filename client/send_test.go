package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// What the client knows by path is what openapi.yaml says: which operations take
// no credentials, and which an Idempotency-Key.
func TestPathsAreTheContract(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if got, want := isPublic(path), len(*op.Security) == 0; got != want {
				t.Errorf("%s: isPublic is %t, want %t", op.OperationID, got, want)
			}
			want := op.Parameters.GetByInAndName("header", "Idempotency-Key") != nil
			if got := takesIdempotencyKey(method, path); got != want {
				t.Errorf("%s: takesIdempotencyKey is %t, want %t", op.OperationID, got, want)
			}
		}
	}
}

// What happens to an answer on its way.
const (
	lost     = 0  // there is none
	brokeOff = -1 // it is a success, of which a part arrives
)

// answers is a fake instance that answers in this order: a status, or what
// happened to the answer.
type answers struct {
	statuses   []int
	retryAfter string
	requests   []*http.Request
	bodies     []string
	at         []time.Duration
	start      time.Time
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.start.IsZero() {
		a.start = time.Now()
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	status := a.statuses[len(a.requests)]
	a.requests, a.bodies, a.at = append(a.requests, r.Clone(r.Context())), append(a.bodies, string(body)), append(a.at, time.Since(a.start))
	switch status {
	case lost:
		return nil, errors.New("the connection broke")
	case brokeOff:
		res := answerOf(r, http.StatusCreated, "")
		res.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"key":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return res, nil
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", a.retryAfter)
	}
	code := map[int]string{409: "in_flight", 429: "rate_limited", 503: "unavailable", 404: "not_found"}[status]
	return &http.Response{
		StatusCode: status, Header: h, Request: r, Body: io.NopCloser(bytes.NewReader([]byte(`{"code":"` + code + `","items":[]}`))),
	}, nil
}

func TestRetries(t *testing.T) {
	t.Parallel()
	get := func(t *testing.T, c *Client) error {
		_, err := c.GetCurrentProjectWithResponse(t.Context())
		return err
	}
	create := func(t *testing.T, c *Client) error {
		_, err := c.CreateKeyWithResponse(t.Context(), "prj_1", nil, CreateKeyRequest{Name: "a"})
		return err
	}
	// A body that comes from a pipe cannot be read again.
	stream := func(t *testing.T, c *Client) error {
		_, err := c.CreateKeyWithBodyWithResponse(t.Context(), "prj_1", nil, "application/json",
			io.MultiReader(strings.NewReader(`{"name":"a"}`)))
		return err
	}
	logIn := func(t *testing.T, c *Client) error {
		_, err := c.LogInWithResponse(t.Context(), LogInRequest{Email: "ada@example.com", Password: "a"})
		return err
	}
	signUp := func(t *testing.T, c *Client) error {
		_, err := c.SignUpWithResponse(t.Context(), SignUpRequest{Email: "ada@example.com", Password: "a"})
		return err
	}
	patch := func(t *testing.T, c *Client) error {
		_, err := c.UpdateKeyWithResponse(t.Context(), "prj_1", "key_1", nil, UpdateKeyRequest{Name: new("a")})
		return err
	}
	for name, c := range map[string]struct {
		call       func(*testing.T, *Client) error
		statuses   []int
		retryAfter string
		status     int           // of the error; 0: none
		sent       int           // requests
		atLeast    time.Duration // until the last of them
		atMost     time.Duration
	}{
		"the wait that is asked for":            {get, []int{503, 200}, "7", 0, 2, 7 * time.Second, 7 * time.Second},
		"a wait given as a date":                {get, []int{429, 200}, "Sat, 01 Jan 2000 00:00:09 GMT", 0, 2, 9 * time.Second, 9 * time.Second},
		"no longer than MaxWait":                {get, []int{503}, "31", 503, 1, 0, 0},
		"no longer than can be said":            {get, []int{503}, "99999999999999999999", 503, 1, 0, 0},
		"a wait that is over":                   {get, []int{503, 200}, "Fri, 31 Dec 1999 23:00:00 GMT", 0, 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"a lost answer":                         {get, []int{lost, 200}, "", 0, 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"as often as Attempts":                  {get, []int{lost, 502, 503, 504}, "1", 504, 4, time.Second, 4 * time.Second},
		"not what will not change":              {get, []int{404}, "", 404, 1, 0, 0},
		"a creation, under its Idempotency-Key": {create, []int{lost, 409, 201}, "", 0, 3, 300 * time.Millisecond, time.Second},
		"an answer that broke off":              {create, []int{brokeOff, 201}, "", 0, 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"a body that cannot be read again":      {stream, []int{503}, "1", 503, 1, 0, 0},
		"a log-in":                              {logIn, []int{503, lost, 200}, "1", 0, 3, time.Second, 2 * time.Second},
		"a sign-up is not sent twice":           {signUp, []int{503}, "1", 503, 1, 0, 0},
		"a change is not sent twice":            {patch, []int{503}, "1", 503, 1, 0, 0},
		"a change that was refused unread is":   {patch, []int{429, 200}, "1", 0, 2, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				instance := &answers{statuses: c.statuses, retryAfter: c.retryAfter}
				client, err := New("https://keys.example.com", APIKey("token"), HTTPClient(&http.Client{Transport: instance}))
				if err != nil {
					t.Fatal(err)
				}
				err = c.call(t, client)
				if refusal, _ := errors.AsType[*Error](err); (err == nil) != (c.status == 0) || refusal != nil &&
					refusal.Status != c.status {
					t.Errorf("got %v, want the status %d", err, c.status)
				}
				if len(instance.requests) != c.sent {
					t.Fatalf("sent %d times, want %d", len(instance.requests), c.sent)
				}
				if last := instance.at[c.sent-1]; last < c.atLeast || last > c.atMost {
					t.Errorf("sent for the last time after %s, want %s to %s", last, c.atLeast, c.atMost)
				}
				for i, r := range instance.requests {
					if got, want := r.Header.Get("Idempotency-Key"), instance.requests[0].Header.Get("Idempotency-Key"); got != want {
						t.Errorf("the Idempotency-Key changed to %q", got)
					}
					if instance.bodies[i] != instance.bodies[0] {
						t.Errorf("the body changed to %q", instance.bodies[i])
					}
				}
			})
		})
	}
}

// A caller who gives up during the wait for a retry gets an error immediately, with
// the reason for the refusal as well. A wait that would last longer than the context
// does not start.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ctx   func(context.Context) (context.Context, context.CancelFunc)
		cause error
		after time.Duration
	}{
		"cancelled while waiting": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(3*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, 3 * time.Second},
		"not enough time": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 5*time.Second)
		}, context.DeadlineExceeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				instance := &answers{statuses: []int{503}, retryAfter: "7"}
				client, err := New("https://keys.example.com", APIKey("token"), HTTPClient(&http.Client{Transport: instance}))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := c.ctx(t.Context())
				defer cancel()
				start := time.Now()
				_, err = client.GetCurrentProjectWithResponse(ctx)
				if refusal, ok := errors.AsType[*Error](err); !ok || refusal.RetryAfter != 7*time.Second || !errors.Is(err, c.cause) {
					t.Errorf("got %v, want the refusal and %v", err, c.cause)
				}
				if got := time.Since(start); got != c.after {
					t.Errorf("returned after %s, want %s", got, c.after)
				}
			})
		})
	}
}

// What a proxy says in the instance's stead is an Error like any other, whatever
// its form, and never an answer without content.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	const page = "<html><body>Please log in to the network</body></html>"
	for name, answer := range map[string]*http.Response{
		"a page":                 {StatusCode: 200, Header: http.Header{"Content-Type": {"text/html"}}},
		"a page of failure":      {StatusCode: 502, Header: http.Header{"Content-Type": {"text/html"}}},
		"nothing":                {StatusCode: 200},
		"a status of its own":    {StatusCode: 203, Header: http.Header{"Content-Type": {"application/json"}}},
		"another kind of JSON":   {StatusCode: 403, Header: http.Header{"Content-Type": {"application/json"}}},
		"a redirect to its page": {StatusCode: 302, Header: http.Header{"Location": {"https://login.example.com"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := page
			if name == "another kind of JSON" {
				body = `{"code":403,"detail":"blocked"}`
			}
			proxy := roundTrip(func(r *http.Request) (*http.Response, error) {
				own := *answer
				own.Request, own.Body = r, io.NopCloser(strings.NewReader(body))
				return &own, nil
			})
			for credentials, c := range map[string]Credentials{"key": APIKey("token"), "password": Password("ada@example.com", "a"),
				"session": Resume("a", nil)} {
				client, err := New("https://keys.example.com", c, HTTPClient(&http.Client{Transport: proxy}), Attempts(1))
				if err != nil {
					t.Fatal(err)
				}
				pages := 0
				for _, err := range client.Keys(t.Context(), "prj_1", ListKeysParams{}) {
					pages++
					refusal, ok := errors.AsType[*Error](err)
					if !ok || refusal.Status != answer.StatusCode || refusal.Code != "" || strings.Contains(err.Error(), "network") {
						t.Errorf("by %s: got %v, want an Error of the status %d that repeats nothing", credentials, err, answer.StatusCode)
					}
				}
				if pages != 1 {
					t.Errorf("by %s: the list went on after the error", credentials)
				}
			}
		})
	}
}

// A list that breaks off has yielded what came before, then says why, and asks for
// nothing more.
func TestListsThatBreakOff(t *testing.T) {
	t.Parallel()
	asked := 0
	instance := roundTrip(func(r *http.Request) (*http.Response, error) {
		asked++
		if r.URL.Query().Get("cursor") == "second" {
			return answerOf(r, http.StatusForbidden, `{"code":"forbidden"}`), nil
		}
		return answerOf(r, http.StatusOK, `{"items":[{"name":"a"},{"name":"b"}],"next_cursor":"second"}`), nil
	})
	client, err := New("https://keys.example.com", APIKey("token"), HTTPClient(&http.Client{Transport: instance}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for key, err := range client.Keys(t.Context(), "prj_1", ListKeysParams{}) {
		if err != nil {
			got = append(got, string(wantCode(t, err, ErrorCodeForbidden).Code))
			continue
		}
		got = append(got, key.Name)
	}
	if want := "a b forbidden"; strings.Join(got, " ") != want || asked != 2 {
		t.Errorf("got %v in %d requests, want %s in 2", got, asked, want)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A date to wait for is by the clock of the server that sent it.
func TestRetryAfterByTheirClock(t *testing.T) {
	t.Parallel()
	h := http.Header{"Date": {"Sat, 01 Jan 2000 00:00:00 GMT"}, "Retry-After": {"Sat, 01 Jan 2000 00:00:09 GMT"}}
	if got, want := retryAfter(h), 9*time.Second; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A key is never carried to where an answer redirects to: net/http would send
// X-Api-Key along to any host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	instance := &redirecting{}
	c, err := New("https://keys.example.com", APIKey("token"), HTTPClient(&http.Client{Transport: instance}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.GetCurrentProjectWithResponse(t.Context())
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Status != http.StatusTemporaryRedirect || strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("got %v, want an error of the status 307 that repeats nothing", err)
	}
	if got, want := instance.hosts, "keys.example.com"; got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
}

type redirecting struct{ hosts string }

func (r *redirecting) RoundTrip(req *http.Request) (*http.Response, error) {
	r.hosts += req.URL.Host
	return &http.Response{
		StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Request: req,
		Body: http.NoBody,
	}, nil
}
