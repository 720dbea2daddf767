package service_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// forged returns a token that has the form of one and was never made.
func (w *world) forged() string {
	w.Helper()
	token, err := domain.RandomToken(domain.DefaultKeyPrefix, domain.Live)
	w.check(err)
	return token.Reveal()
}

// refusesForged waits until the node knows of all tokens without a tag, and so
// refuses what was never made without a query.
func (w *world) refusesForged(node *service.App) {
	w.Helper()
	noQuery, cancel := context.WithCancel(w.Context())
	cancel()
	w.eventually("a forged token is refused without a query", func() bool {
		_, err := node.AuthenticateKey(noQuery, w.forged())
		return domain.CodeOf(err) == domain.CodeInvalidAPIKey
	})
}

// fresh returns a token that is not in memory yet.
func (w *world) fresh(p *service.Project) (domain.Key, string) {
	w.Helper()
	key, token, err := p.CreateKey(w.Context(), domain.KeySpec{Name: "k"})
	w.check(err)
	return key, token.Reveal()
}

// Guarantees that a token which this instance never made costs no query, however
// well it is formed, and also when it carries the public id of a real key.
func TestForgedTokensCostNoQuery(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token := w.fresh(project)
		parsed, err := domain.ParseToken(token)
		w.check(err)
		id := parsed.ID()
		w.refusesForged(w.App)
		before := w.CacheStats().Loads
		for range 100 {
			w.answers(map[string]domain.Code{w.forged(): domain.CodeInvalidAPIKey, withID(w, id): domain.CodeInvalidAPIKey})
		}
		if after := w.CacheStats().Loads; after != before {
			w.Errorf("200 forged tokens cost %d look-ups, want none", after-before)
		}
		w.answers(map[string]domain.Code{token: ""})
	})
}

// withID returns a token that was never made, under the public id of one that was.
func withID(w *world, id domain.TokenID) string {
	w.Helper()
	const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var drawn []byte
	for i := range len(id) {
		drawn = append(drawn, byte(strings.IndexByte(base62, id[i])))
	}
	token, err := domain.NewToken(domain.DefaultKeyPrefix, domain.Live, io.MultiReader(bytes.NewReader(drawn), rand.Reader))
	w.check(err)
	if token.ID() != id {
		w.Fatalf("got the id %s, want %s", token.ID(), id)
	}
	return token.Reveal()
}

// eventually waits for something that another goroutine does.
func (w *world) eventually(what string, happened func() bool) {
	w.Helper()
	deadline := time.After(30 * time.Second) // for a machine that is very busy
	for retry := time.NewTicker(5 * time.Millisecond); !happened(); {
		select {
		case <-deadline:
			w.Fatalf("%s: not within 30 s", what)
		case <-retry.C:
		}
	}
}
