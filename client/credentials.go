package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Credentials prove who a Client is: APIKey, APIKeyIn, Password or Resume.
type Credentials interface {
	// authorize adds the credentials to a request. It may send its own requests
	// through public, which adds no credentials.
	authorize(req *http.Request, public *ClientWithResponses) error
	// refused reports that the request was answered with an error, and returns
	// whether the same request would now be sent with other credentials.
	refused(req *http.Request, e *Error) bool
}

// APIKey calls with an API key in the X-Api-Key header.
func APIKey(token string) Credentials { return APIKeyIn("X-Api-Key", token) }

// APIKeyIn calls with an API key in the header that the instance is configured
// to read keys from.
func APIKeyIn(header, token string) Credentials { return apiKey{header, token} }

type apiKey struct{ header, token string }

func (k apiKey) authorize(req *http.Request, _ *ClientWithResponses) error {
	req.Header.Set(k.header, k.token)
	return nil
}

func (apiKey) refused(*http.Request, *Error) bool { return false }

// anonymous is for the public operations.
type anonymous struct{}

func (anonymous) authorize(*http.Request, *ClientWithResponses) error { return nil }

func (anonymous) refused(*http.Request, *Error) bool { return false }

// Password calls as the user with this address and password: it logs in at the
// first request, and again when the session has ended.
func Password(email, password string) Credentials {
	return &user{turn: make(chan struct{}, 1), email: email, password: password}
}

// Resume calls as the user of an earlier session, with its refresh token. A refresh
// token works once. Each new one is passed to save, which may be nil, before the
// request that needed it is sent, so that another run of the program can resume
// the session.
func Resume(refreshToken string, save func(refreshToken string)) Credentials {
	return &user{turn: make(chan struct{}, 1), refresh: refreshToken, save: save}
}

// user holds a session. turn lets one request at a time use it, so that a refresh
// token is sent once. It is a channel, so that a waiting request can stop when its
// context ends.
type user struct {
	turn            chan struct{}
	email, password string
	refresh         string
	save            func(refreshToken string)
	access          string
	until           time.Time
}

// early is how long before its expiry an access token is replaced. It allows for
// clocks that differ and for slow requests.
const early = 30 * time.Second

// renewal is how long getting a new access token may take, including all attempts.
const renewal = time.Minute

func (u *user) authorize(req *http.Request, public *ClientWithResponses) error {
	ctx := req.Context()
	select {
	case u.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if u.access != "" && time.Until(u.until) >= early {
		req.Header.Set("Authorization", "Bearer "+u.access)
		<-u.turn
		return nil
	}
	// The refresh continues if this request ends: its answer has the next refresh
	// token, and it can be repeated only for a short time.
	renewed := make(chan error, 1)
	var access string
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewal)
		defer cancel()
		err := u.renew(ctx, public)
		access = u.access
		<-u.turn
		renewed <- err
	}()
	select {
	case err := <-renewed:
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+access)
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refused drops an access token that no longer works, so that the next request gets
// a new one.
func (u *user) refused(req *http.Request, e *Error) bool {
	if e.Code != ErrorCodeTokenExpired && e.Code != ErrorCodeInvalidToken {
		return false
	}
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-req.Context().Done():
		return false
	}
	if req.Header.Get("Authorization") == "Bearer "+u.access {
		u.access = ""
	}
	return true
}

// renew refreshes the session, or starts one.
func (u *user) renew(ctx context.Context, public *ClientWithResponses) error {
	if u.refresh != "" {
		answer, err := public.RefreshSessionWithResponse(ctx, RefreshSessionRequest{RefreshToken: u.refresh})
		if err == nil {
			u.keep(answer.JSON200)
			return nil
		}
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != http.StatusUnauthorized || u.password == "" {
			return err
		}
		u.refresh = ""
	}
	answer, err := public.LogInWithResponse(ctx, LogInRequest{Email: u.email, Password: u.password})
	if err != nil {
		return err
	}
	u.keep(answer.JSON200)
	return nil
}

func (u *user) keep(s *Session) {
	u.access, u.until, u.refresh = s.AccessToken, time.Now().Add(time.Duration(s.ExpiresIn)*time.Second), s.RefreshToken
	if u.save != nil {
		u.save(u.refresh)
	}
}
