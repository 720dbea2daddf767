package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls one Latchkey instance with one caller's credentials. It is safe for
// concurrent use; create one and reuse it.
type Client struct {
	*ClientWithResponses
}

// Option changes how a Client sends its requests.
type Option func(*sender)

// HTTPClient sends requests through a copy of hc. It never follows redirects: the
// API sends none, and following one could send a key to another host.
func HTTPClient(hc *http.Client) Option {
	return func(s *sender) { s.http = *hc }
}

// Attempts is how many times a request may be sent, including the first. The
// default is 4; 1 turns retries off.
func Attempts(n int) Option {
	return func(s *sender) { s.attempts = n }
}

// MaxWait is the longest wait before one retry. The default is 30 s. A refusal that
// asks for a longer wait is returned immediately; Error.RetryAfter says how long.
func MaxWait(d time.Duration) Option {
	return func(s *sender) { s.maxWait = d }
}

// New returns a client for the instance whose public URL is server. It sends no
// request, so invalid credentials fail at the first request.
func New(server string, credentials Credentials, options ...Option) (*Client, error) {
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("client: the address of the instance: %w", err)
	}
	if base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
		return nil, errors.New("client: the address of the instance must start with https:// or http://")
	}
	if credentials == nil {
		return nil, errors.New("client: credentials are needed")
	}
	s := &sender{
		base:        strings.TrimRight(base.Path, "/"),
		credentials: credentials,
		attempts:    4,
		maxWait:     30 * time.Second,
		http:        http.Client{Timeout: 30 * time.Second},
	}
	for _, option := range options {
		option(s)
	}
	s.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	generated, err := NewClientWithResponses(server, WithHTTPClient(s))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	s.public, err = NewClientWithResponses(server, WithHTTPClient(&sender{
		base:        s.base,
		credentials: anonymous{},
		attempts:    s.attempts,
		maxWait:     s.maxWait,
		http:        s.http,
	}))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &Client{generated}, nil
}
