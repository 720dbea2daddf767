package verify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/latchkey-dev/latchkey/client"
)

// longest is much more than the size of any answer.
const longest = 1 << 20

// newHTTP returns a client that follows no redirects and unpacks nothing.
func newHTTP(o Options) *http.Client {
	transport := o.Transport
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
		own.DisableCompression, own.MaxIdleConnsPerHost = true, o.Asking
		transport = own
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: transport, CheckRedirect: stay}
}

// question asks about a token and returns nil if there is no answer.
func (v *Verifier) question(ctx context.Context, q Question) *answer {
	if v.fake != nil {
		return v.fake(q)
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return nil
	}
	a := &answer{sent: v.o.Clock()}
	v.mu.Lock()
	v.stats.Asked++
	v.mu.Unlock()
	var said struct {
		client.Verification
		Valid *bool `json:"valid"`
	}
	ask := client.VerifyKeyRequest{Key: q.Token}
	if ip, err := netip.ParseAddr(q.IP); err == nil { // Latchkey refuses a question with anything else
		ask.IP = new(ip.Unmap().WithZone("").String())
	}
	_, err := v.post(ctx, "/v1/keys/verify", ask, &said)
	if err != nil || said.Valid == nil || said.Code == "" {
		return nil
	}
	a.Verification = said.Verification
	a.Valid = *said.Valid && said.Code == client.VerificationCodeValid && said.Key != nil && said.TokenID != nil
	if *said.Valid != a.Valid {
		return nil // a good answer has everything
	}
	return a
}

// post sends a request to Latchkey and reads the answer. If no connection takes it, the
// next address gets it, once.
func (v *Verifier) post(ctx context.Context, path string, body, answer any) (refused *client.Error, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		v.mu.Lock()
		url, key := v.urls[v.url%len(v.urls)], v.apiKey
		v.mu.Unlock()
		var again bool
		refused, again, err = v.send(ctx, url+path, key, text, answer)
		if err != nil && (again || refused != nil && refused.Status >= http.StatusInternalServerError) {
			v.mu.Lock()
			v.url++
			v.mu.Unlock()
		}
		if err == nil || !again || attempt == 1 || ctx.Err() != nil {
			return refused, err
		}
	}
}

// send sends the request once. again says that it has certainly not been read.
func (v *Verifier) send(ctx context.Context, url, key string, body []byte, answer any) (refused *client.Error, again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	req.GetBody = nil // net/http does not send it again by itself
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", key)
	res, err := v.http.Do(req)
	if err != nil {
		return nil, errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF), err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, longest+1))
	switch {
	case err != nil:
		return nil, false, err
	case res.StatusCode != http.StatusOK:
		return v.refused(res, text)
	case len(text) > longest || res.Header.Get("Content-Encoding") != "":
		return nil, false, errors.New("the answer is not Latchkey's")
	}
	return nil, false, json.Unmarshal(text, answer)
}

// refused returns what an error says. If it is about the key of this service, nothing
// that is kept is used from now on.
func (v *Verifier) refused(res *http.Response, text []byte) (*client.Error, bool, error) {
	e := &client.Error{}
	_ = json.Unmarshal(text, &e.Problem) // otherwise something else has answered
	e.Status = res.StatusCode
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		_ = v.readKey() // it may have been replaced
		v.mu.Lock()
		v.heard.failed, v.heard.last = true, time.Time{}
		v.answers.drop(func(*answer) bool { return true })
		now := time.Now()
		say := now.Sub(v.said) >= time.Minute
		if say {
			v.said = now
		}
		v.mu.Unlock()
		if say {
			v.o.Log.Error("latchkey: the key of this service is refused", "status", e.Status, "code", e.Code, "detail", e.Detail,
				"request_id", cmp.Or(e.RequestID, res.Header.Get("X-Request-Id")))
		}
	}
	return e, false, fmt.Errorf("latchkey answered %d %s", e.Status, e.Code)
}
