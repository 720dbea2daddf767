package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that anyone who may read a key sees whether the token before a rotation is
// still sent, and that a further rotation ends the older of two tokens in traffic,
// but an unused newer one before the one that callers send.
func TestRetiringLastUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	first := w.key(t, n.owner, n.project.ID, nil)
	path := n.path("/keys/" + string(first.Key.ID))
	rotate := func() (rotated api.CreatedKey) {
		w.call(t, "POST", path+"/rotate", n.owner.as, nil).want(t, http.StatusOK, &rotated)
		w.secret(rotated.Token)
		return rotated
	}
	send := func(token string) time.Time {
		w.Pass(time.Minute)
		w.call(t, "GET", "/v1/project", byKey(token), nil).want(t, http.StatusOK, nil)
		return w.Now()
	}
	// What all answers show that have a key's last use.
	shown := func(token string, want time.Time) {
		t.Helper()
		w.record(t)
		var read api.Key
		w.call(t, "GET", path, n.owner.as, nil).want(t, http.StatusOK, &read)
		var listed api.KeyList
		w.call(t, "GET", n.path("/keys"), n.owner.as, nil).want(t, http.StatusOK, &listed)
		var who api.Caller
		w.call(t, "GET", "/v1/whoami", byKey(token), nil).want(t, http.StatusOK, &who)
		for answer, retiring := range map[string]*api.RetiringToken{
			"getKey": read.Retiring, "listKeys": listed.Items[0].Retiring, "getCaller": who.Key.Retiring,
		} {
			last := retiring.LastUsedAt
			if at, err := last.Get(); !last.IsSpecified() || last.IsNull() != want.IsZero() || err == nil && !at.Equal(want) {
				t.Errorf("%s: got %v, want %v", answer, last, want)
			}
		}
		question := map[string]any{"key": token, "project_id": n.project.ID}
		answer := w.call(t, "POST", "/v1/keys/verify", n.owner.as, question).want(t, http.StatusOK, nil)
		if body := string(answer.body); !strings.Contains(body, `"retiring":{`) || strings.Contains(body, "last_used_at") {
			t.Errorf("got %s, want a verification without a last use", body)
		}
	}

	second := rotate()
	shown(second.Token, time.Time{})
	send(second.Token)
	shown(second.Token, time.Time{})
	sent := send(first.Token)
	shown(second.Token, sent)

	third := rotate() // both are in traffic, so the older one ends
	w.call(t, "GET", "/v1/project", byKey(first.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyExpired)
	if got := third.Key.Retiring; got.Prefix != second.Key.Prefix || !got.LastUsedAt.IsSpecified() || got.LastUsedAt.IsNull() {
		t.Errorf("got %+v retiring, want %s with its last use", got, second.Key.Prefix)
	}
	send(second.Token)

	fourth := rotate() // no one has sent the third
	w.call(t, "GET", "/v1/project", byKey(third.Token), nil).fails(t, http.StatusUnauthorized, domain.CodeKeyExpired)
	sent = send(second.Token)
	shown(fourth.Token, sent)
}
