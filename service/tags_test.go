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
	"github.com/latchkey-dev/latchkey/service/servicetest"
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
	servicetest.Eventually(w, "a forged token is refused without a query", func() bool {
		_, err := node.ProveKey(noQuery, w.forged(), nil)
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
		total := 100
		if *long {
			total = 5_000_000
		}
		for range total {
			for _, forged := range []string{w.forged(), withID(w, id)} {
				if _, err := w.ProveKey(w.Context(), forged, nil); domain.CodeOf(err) != domain.CodeInvalidAPIKey {
					w.Fatalf("got %v, want invalid_api_key", err)
				}
			}
		}
		if after := w.CacheStats().Loads; after != before {
			w.Errorf("%d forged tokens cost %d look-ups, want none", 2*total, after-before)
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

// olderNode lists a node of 0.1 until the function it returns is called.
func (w *world) olderNode() (leaves func()) {
	w.Helper()
	feed, err := w.Store.Feed(w.Context())
	w.check(err)
	now := time.Now()
	w.check(feed.ReportNode(w.Context(), domain.Node{ID: "of 0.1", StartedAt: now, SeenAt: now}))
	return func() {
		w.Helper()
		w.check(feed.RemoveNode(w.Context(), "of 0.1"))
		w.check(feed.Close())
	}
}

// tagged reports whether the newest token of a key has a tag.
func (w *world) tagged(p *service.Project, id domain.KeyID) bool {
	w.Helper()
	project, err := p.Get()
	w.check(err)
	secrets, err := w.Store.LiveSecrets(w.Context(), project.Scope(), id, w.Now())
	w.check(err)
	return secrets[0].Tagged
}

// Guarantees that no key is refused for want of a tag: those of 0.1 work on every
// node until they are rotated, those made beside a node of 0.1 have none, and
// those made after it has left do.
func TestTokensOfOlderNodes(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		leaves := w.olderNode()
		old, oldToken := w.fresh(project)
		leaves()
		newer, newToken := w.fresh(project)
		if w.tagged(project, old.ID) || !w.tagged(project, newer.ID) {
			w.Errorf("tagged %t beside a node of 0.1, %t after it; want false, true", w.tagged(project, old.ID),
				w.tagged(project, newer.ID))
		}
		node := w.Another(service.Options{})
		go node.Run(w.Context())
		w.refusesForged(node)
		for _, token := range []string{oldToken, newToken} {
			_, err := node.ProveKey(w.Context(), token, nil)
			w.check(err)
			w.answers(map[string]domain.Code{token: ""})
		}
		_, rotated := w.rotate(project, old.ID, domain.Rotation{})
		if !w.tagged(project, old.ID) {
			w.Error("the token of a rotation has no tag")
		}
		w.answers(map[string]domain.Code{oldToken: "", rotated: ""})
		w.check(project.DeleteKey(w.Context(), old.ID))
		w.answers(map[string]domain.Code{oldToken: domain.CodeInvalidAPIKey, rotated: domain.CodeInvalidAPIKey})
	})
}

// Guarantees that a token without a tag which another process makes, when this
// node had thought that there would be no more, is known here within moments.
func TestUntaggedTokenIsHeardOf(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		w.refusesForged(w.App)
		own, err := project.Get()
		w.check(err)
		elsewhere := w.node()
		leaves := w.olderNode()
		handle, err := elsewhere.Project(w.Context(), ann, own.ID)
		w.check(err)
		_, token := w.fresh(handle)
		leaves()
		servicetest.Eventually(w, "the token is known here", func() bool {
			_, err := w.ProveKey(w.Context(), token, nil)
			return err == nil
		})
	})
}

// Guarantees that a lost answer brings the same token again whichever version
// gave it, and whichever versions are there when it is asked for again.
func TestRepeatedAcrossVersions(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		create := func(name domain.Hidden) string {
			w.Helper()
			_, token, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", IdempotencyKey: name})
			w.check(err)
			return token.Reveal()
		}
		leaves := w.olderNode()
		untagged := create("an-untagged-answer")
		leaves()
		tagged := create("a-tagged-answer-0")
		if again := create("an-untagged-answer"); again != untagged {
			w.Error("another token, after the node of 0.1 has left")
		}
		leaves = w.olderNode()
		defer leaves()
		if again := create("a-tagged-answer-0"); again != tagged {
			w.Error("another token, after a node of 0.1 has come")
		}
		w.answers(map[string]domain.Code{untagged: "", tagged: ""})
	})
}
