package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
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

// answers stands for an instance that answers in this order: a status, or 0 for
// an answer that is lost.
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
	if status == 0 {
		return nil, errors.New("the connection broke")
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
		"a lost answer":                         {get, []int{0, 200}, "", 0, 2, 100 * time.Millisecond, 200 * time.Millisecond},
		"as often as Attempts":                  {get, []int{0, 502, 503, 504}, "1", 504, 4, time.Second, 4 * time.Second},
		"not what will not change":              {get, []int{404}, "", 404, 1, 0, 0},
		"a creation, under its Idempotency-Key": {create, []int{0, 409, 201}, "", 0, 3, 300 * time.Millisecond, time.Second},
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
				if refusal, _ := errors.AsType[*Error](err); (err == nil) != (c.status == 0) || refusal != nil && refusal.Status != c.status {
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
		StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Request: req, Body: http.NoBody,
	}, nil
}
