package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// sessions is a fake instance with one session. Its access tokens are valid
// until expire is called, its refresh tokens once.
type sessions struct {
	mu      sync.Mutex
	issued  int           // sessions handed out, by which the tokens are numbered
	expired int           // the last of them whose access token is no longer good
	reused  int           // refresh tokens that came twice
	takes   time.Duration // how long a refresh takes
	asked   []time.Time   // when refreshes were asked for
}

func (s *sessions) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == refreshPath {
		return s.refresh(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("Authorization") != fmt.Sprint("Bearer access-", s.issued) || s.issued == s.expired {
		return answerOf(r, http.StatusUnauthorized, `{"code":"token_expired"}`), nil
	}
	return answerOf(r, http.StatusOK, `{"name":"Ada"}`), nil
}

func (s *sessions) refresh(r *http.Request) (*http.Response, error) {
	var body RefreshSessionRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.asked = append(s.asked, time.Now())
	if body.RefreshToken != fmt.Sprint("refresh-", s.issued) {
		s.reused++
	}
	s.issued++
	answer := answerOf(r, http.StatusOK, fmt.Sprintf(`{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":300}`,
		s.issued, s.issued))
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
		return answer, nil
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

func (s *sessions) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = s.issued
}

// answerOf is an answer in JSON.
func answerOf(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func (s *sessions) resume(t *testing.T, save func(string)) *Client {
	t.Helper()
	c, err := New("https://keys.example.com", Resume("refresh-0", save), HTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// However many requests find at the same moment that they need an access token,
// the refresh token is sent once: at the start, when the server takes the access
// token no longer, and when its time is up.
func TestOneRefreshForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		instance := &sessions{takes: time.Second}
		var saved []string
		c := instance.resume(t, func(token string) { saved = append(saved, token) })
		for round, before := range []func(){func() {}, instance.expire, func() { <-time.After(280 * time.Second) }} {
			before()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if _, err := c.GetMeWithResponse(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if got, want := instance.issued, round+1; got != want {
				t.Errorf("refreshed %d times, want %d", got, want)
			}
		}
		if got, want := strings.Join(saved, " "), "refresh-1 refresh-2 refresh-3"; got != want || instance.reused != 0 {
			t.Errorf("handed over %s, want %s; %d were sent twice", got, want, instance.reused)
		}
	})
}

// An access token that was refused is forgotten even where the request cannot be
// sent again: the next one brings another.
func TestRefusedTokenIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		instance := &sessions{}
		c := instance.resume(t, nil)
		stream := func() error {
			_, err := c.CreateKeyWithBodyWithResponse(t.Context(), "prj_1", nil, "application/json",
				io.MultiReader(strings.NewReader("{}")))
			return err
		}
		if err := stream(); err != nil {
			t.Fatal(err)
		}
		instance.expire()
		_ = wantCode(t, stream(), ErrorCodeTokenExpired)
		if err := stream(); err != nil {
			t.Error(err)
		}
	})
}

// A request that is given up while the session is refreshed takes nothing with
// it: the refresh completes, and the next request uses its tokens.
func TestRefreshOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		instance := &sessions{takes: 2 * time.Second}
		c := instance.resume(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.GetMeWithResponse(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
		}
		<-time.After(time.Minute)
		if _, err := c.GetMeWithResponse(t.Context()); err != nil {
			t.Error(err)
		}
		if instance.issued != 1 || instance.reused != 0 {
			t.Errorf("refreshed %d times, want once; %d tokens were sent twice", instance.issued, instance.reused)
		}
	})
}

// A refresh that is not answered is asked for again while the same token still
// gets the same answer, which is for ten seconds: later it would end the session.
func TestRefreshIsRepeatedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		instance := &sessions{takes: time.Hour}
		start := time.Now()
		if _, err := instance.resume(t, nil).GetMeWithResponse(t.Context()); err == nil {
			t.Error("there was an answer")
		}
		if got, want := len(instance.asked), 4; got != want {
			t.Fatalf("asked %d times, want %d", got, want)
		}
		if got := instance.asked[3].Sub(start); got > 10*time.Second {
			t.Errorf("asked for the last time after %s", got)
		}
	})
}
