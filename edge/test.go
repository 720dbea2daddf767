package edge

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Test is a proxy to attack.
type Test struct {
	URL        *url.URL // of an echo behind the proxy, at a route that forwardAuth protects
	Issuer     string   // the project: https://keys.example.com/v1/projects/prj_…
	Key        string   // a good key, which holds what the route needs
	OtherKey   string   // a good key of another project; empty: not tried
	NoScopeKey string   // a key of the project that lacks what the route needs; empty: not tried
	RevokeKey  string   // a key of the project that holds keys:write, which is revoked; empty: not tried
	Stopped    bool     // Latchkey is stopped now: try only that nothing passes

	Now func() time.Time // by which tokens are verified; nil: time.Now

	keys    map[string]*ecdsa.PublicKey
	subject string          // the id of Key
	plain   map[string]bool // which plain headers reach the API
}

// Verdict is what a case has shown.
type Verdict string

// The verdicts.
const (
	Safe    Verdict = "ok"
	Hole    Verdict = "HOLE"
	Broken  Verdict = "broken"    // a good request does not reach the API as it should
	Untried Verdict = "not tried" // something that it needs was not given
)

// Result is a case with its verdict.
type Result struct {
	Name    string
	Verdict Verdict
	Why     string // for a hole, something broken or untried; for others what was seen, or nothing
}

// wants is what a case must show.
type wants int

const (
	refused wants = iota // the request must not reach the API
	safe                 // if it reaches the API, then with the identity of the key
	passes               // it must reach the API, with the identity of the key
)

// attack is a case of the corpus.
type attack struct {
	name    string
	message string
	key     string // in it
	wants   wants
	missing string // what was not given; empty: nothing
}

// Run tries every case in turn and reports each. It fails if the test cannot be made at
// all.
func (t *Test) Run(ctx context.Context, report func(Result)) error {
	if t.Stopped {
		for _, a := range t.whileStopped() {
			report(t.tryStopped(ctx, a))
		}
		return nil
	}
	if err := t.readKeys(ctx); err != nil {
		return err
	}
	for _, a := range t.corpus() {
		report(t.try(ctx, a))
	}
	report(t.revoke(ctx))
	return nil
}

func (t *Test) try(ctx context.Context, a attack) Result {
	if a.missing != "" {
		return Result{a.name, Untried, "there is no " + a.missing}
	}
	answers, err := t.send(ctx, a.message)
	switch {
	case err != nil && a.wants == passes:
		return Result{a.name, Broken, err.Error()}
	case err != nil:
		return Result{a.name, Safe, "no answer"}
	}
	for _, got := range answers {
		switch {
		case got.reached && a.wants == refused:
			return Result{a.name, Hole, "the request reaches the API"}
		case got.reached && got.received != nil:
			if why := t.wrong(got.received, a.key); why != "" {
				return Result{a.name, Hole, why}
			}
		case !got.reached && a.wants == passes:
			return Result{a.name, Broken, fmt.Sprintf("a good request gets %d", got.status)}
		}
	}
	return Result{a.name, Safe, strconv.Itoa(answers[0].status)}
}

// tryStopped tries a case while the proxy cannot ask.
func (t *Test) tryStopped(ctx context.Context, a attack) Result {
	answers, err := t.send(ctx, a.message)
	switch {
	case err != nil:
		return Result{a.name, Broken, err.Error()}
	case answers[0].reached:
		return Result{a.name, Hole, "the request reaches the API although no one has judged it"}
	case answers[0].status < http.StatusInternalServerError:
		return Result{a.name, Broken, fmt.Sprintf("the client gets %d: an outage must be 503", answers[0].status)}
	}
	return Result{a.name, Safe, strconv.Itoa(answers[0].status)}
}

// revokedPasses is how long a proxy may keep an answer, as docs/proxies.md has it, and some
// time for the requests.
const revokedPasses = 10 * time.Second

// revoke revokes a key and measures for how long the proxy still lets it pass.
func (t *Test) revoke(ctx context.Context) Result {
	const name = "a key that has just been revoked"
	if t.RevokeKey == "" {
		return Result{name, Untried, "there is no --revoke-key-env"}
	}
	good := t.message(http.MethodGet, t.URL.RequestURI(), http11, "X-Api-Key: "+t.RevokeKey)
	answers, err := t.send(ctx, good)
	if err != nil || !answers[0].reached || answers[0].received == nil {
		return Result{name, Broken, "the key does not pass before it is revoked"}
	}
	id := strings.Join(answers[0].received.Headers["X-Latchkey-Key"], "")
	if token, ok := strings.CutPrefix(strings.Join(answers[0].received.Headers["Authorization"], ""), "Bearer "); ok && id == "" {
		if c, err := t.verify(token); err == nil {
			id = c.Subject
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(t.Issuer, "/")+"/keys/"+id+"/revoke", nil)
	if err != nil {
		return Result{name, Broken, err.Error()}
	}
	request.Header.Set("X-Api-Key", t.RevokeKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Result{name, Broken, err.Error()}
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Result{name, Broken, fmt.Sprintf("revoking the key gets %d", response.StatusCode)}
	}
	for start := time.Now(); ; {
		answers, err := t.send(ctx, good)
		took := time.Since(start)
		if err == nil && !answers[0].reached {
			return Result{name, Safe, "refused after " + took.Round(time.Millisecond).String()}
		}
		if took > revokedPasses {
			return Result{name, Hole, "it still passes after " + revokedPasses.String()}
		}
	}
}
