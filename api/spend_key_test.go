package api_test

import (
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// gateway is a project with a plan of tokens, as a gateway of a language model has it.
type gateway struct {
	*world
	n       tenant
	backend api.CreatedKey // it verifies, and may not change limits
	client  api.CreatedKey
}

func newGateway(t *testing.T, limits ...any) gateway {
	t.Helper()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	pro := w.planWith(t, n, "Pro", limits...)
	return gateway{w, n,
		w.key(t, n.owner, n.project.ID, map[string]any{"scopes": []string{"keys:verify"}}),
		w.key(t, n.owner, n.project.ID, map[string]any{"plan_id": pro, "external_id": "customer-1"}),
	}
}

func (g *gateway) as() credential { return byKey(g.backend.Token) }

// verify reserves units for a request of the client.
func (g *gateway) verify(t *testing.T, cost map[string]int64) (v api.Verification) {
	t.Helper()
	g.call(t, http.MethodPost, "/v1/keys/verify", g.as(), map[string]any{"key": g.client.Token, "cost": cost}).
		want(t, http.StatusOK, &v)
	return v
}

// body is a settlement of what the client has done.
func (g *gateway) body(cost map[string]int64, more map[string]any) map[string]any {
	body := map[string]any{"key_id": g.client.Key.ID, "project_id": g.n.project.ID, "cost": cost}
	maps.Copy(body, more)
	return body
}

// spend settles, and returns what was spent and short.
func (g *gateway) spend(t *testing.T, as credential, cost map[string]int64, more map[string]any) (done api.Spent) {
	t.Helper()
	g.call(t, http.MethodPost, "/v1/keys/spend", as, g.body(cost, more)).want(t, http.StatusOK, &done)
	return done
}

// left returns how many units are left of each limit.
func (g *gateway) left(t *testing.T) map[string]int64 {
	t.Helper()
	var limits api.LimitStateList
	g.call(t, http.MethodGet, g.n.path("/keys/"+string(g.client.Key.ID)+"/limits"), g.n.owner.as, nil).want(t, http.StatusOK, &limits)
	left := map[string]int64{}
	for _, l := range limits.Items {
		left[l.Name] = l.Remaining
	}
	return left
}

func tokensPer(period string, limit int) map[string]any {
	return map[string]any{"name": "tokens", "type": "quota", "limit": limit, "period": period, "cost": 0, "per": "external_id"}
}

// Guarantees that what a request has cost in the end is what is taken from the limits:
// less than was reserved, more, or more than there is.
func TestSpendKey(t *testing.T) {
	t.Parallel()
	g := newGateway(t, tokensPer("month", 10_000), creditsPer("external_id", 100),
		map[string]any{"name": "requests", "type": "rate", "limit": 50, "period": "day"})
	v := g.verify(t, map[string]int64{"tokens": 3000})
	if !v.Valid || v.SpendID == nil {
		t.Fatalf("got %+v, want a spend_id", v)
	}
	check := func(what string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", what, diff)
		}
	}
	spent := func(spent, short map[string]int64) api.Spent { return api.Spent{Spent: spent, Short: short} }
	none := map[string]int64{}

	less := map[string]int64{"tokens": -2766, "credits": -5, "requests": -1, "other": -7}
	back := g.spend(t, g.as(), less, map[string]any{"spend_id": v.SpendID})
	check("giving back", back, spent(map[string]int64{"tokens": -2766, "credits": -1, "requests": -1}, none))
	check("what is left", g.left(t), map[string]int64{"tokens": 9766, "credits": 100, "requests": 50})

	more := g.spend(t, g.as(), map[string]int64{"tokens": 66, "other": 7}, nil)
	check("spending", more, spent(map[string]int64{"tokens": 66}, none))
	short := g.spend(t, g.as(), map[string]int64{"tokens": 9800, "requests": 51, "credits": 0}, nil)
	check("spending more than there is", short,
		spent(map[string]int64{"tokens": 9700, "requests": 50, "credits": 0}, map[string]int64{"tokens": 100, "requests": 1}))
	check("what is left", g.left(t), map[string]int64{"tokens": 0, "credits": 100, "requests": 0})
	if v := g.verify(t, map[string]int64{"tokens": 1}); v.Valid || v.SpendID != nil {
		t.Errorf("got %+v of a key without tokens", v)
	}

	g.Pass(time.Second)
	owner := g.spend(t, g.n.owner.as, map[string]int64{"tokens": -700, "requests": -60}, nil)
	check("giving back as a member", owner, spent(map[string]int64{"tokens": -700, "requests": -50}, none))
	owner = g.spend(t, g.n.owner.as, map[string]int64{"tokens": -1_000_000}, nil)
	check("giving back more than was spent", owner, spent(map[string]int64{"tokens": -9300}, none))
	check("what is left", g.left(t), map[string]int64{"tokens": 10_000, "credits": 100, "requests": 50})
	if v := g.verify(t, map[string]int64{"tokens": 10_000}); !v.Valid {
		t.Errorf("got %+v, want all tokens of the month", v)
	}
}

// Guarantees that a settlement with an Idempotency-Key happens once, however often it is
// sent, and that another one under the same key is refused.
func TestSpendKeyOnce(t *testing.T) {
	t.Parallel()
	g := newGateway(t, tokensPer("month", 100), map[string]any{"name": "requests", "type": "rate", "limit": 50, "period": "day"})
	cost := map[string]int64{"tokens": 30, "requests": 3}
	send := func(cost map[string]int64) answer {
		as := both(g.as(), func(h http.Header) { h.Set("Idempotency-Key", "0123456789abcdef") })
		return g.call(t, http.MethodPost, "/v1/keys/spend", as, g.body(cost, nil))
	}
	for range 3 {
		var done api.Spent
		send(cost).want(t, http.StatusOK, &done)
		if diff := cmp.Diff(api.Spent{Spent: cost, Short: map[string]int64{}}, done); diff != "" {
			t.Error(diff)
		}
	}
	send(map[string]int64{"tokens": 31}).fails(t, http.StatusUnprocessableEntity, domain.CodeIdempotencyMismatch)
	if diff := cmp.Diff(map[string]int64{"tokens": 70, "requests": 47}, g.left(t)); diff != "" {
		t.Error(diff)
	}
}

// Guarantees that nothing is given back that was not taken: not twice, not by a spend_id
// of another key, a forged one, an old one or one of another period, and not to limits
// that the caller spends itself or, without a spend_id, by a key without limits:write.
func TestGivingBackWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	g := newGateway(t, tokensPer("hour", 1000))
	v := g.verify(t, map[string]int64{"tokens": 500})
	refused := func(what string, as credential, body map[string]any, status int, code domain.Code) {
		t.Helper()
		if a := g.call(t, http.MethodPost, "/v1/keys/spend", as, body); a.status != status || a.code() != code {
			t.Errorf("%s: got %d %s, want %d %s", what, a.status, a.body, status, code)
		}
	}
	less := map[string]int64{"tokens": -100}
	with := func(id string) map[string]any { return map[string]any{"spend_id": id} }
	refused("no spend_id", g.as(), g.body(less, nil), http.StatusForbidden, domain.CodeForbidden)
	forged := []byte(*v.SpendID)
	forged[3] ^= 1
	refused("a forged spend_id", g.as(), g.body(less, with(string(forged))), http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	refused("garbage", g.as(), g.body(less, with("x")), http.StatusUnprocessableEntity, domain.CodeValidationFailed)

	sibling := g.key(t, g.n.owner, g.n.project.ID, map[string]any{
		"plan_id": g.client.Key.Plan.MustGet().ID, "external_id": "customer-1", "scopes": []string{"keys:verify", "limits:write"},
	})
	other := g.body(less, with(*v.SpendID))
	other["key_id"] = sibling.Key.ID
	refused("of another key", g.as(), other, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	own := byKey(sibling.Token)
	refused("limits that it spends itself", own, g.body(less, with(*v.SpendID)), http.StatusForbidden, domain.CodeForbidden)
	refused("limits that it spends itself, without a spend_id", own, g.body(less, nil), http.StatusForbidden, domain.CodeForbidden)
	refused("a positive cost with a spend_id", g.as(), g.body(map[string]int64{"tokens": 1}, with(*v.SpendID)),
		http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	eve := g.tenant(t, "eve")
	theirs := g.body(less, with(*v.SpendID))
	theirs["project_id"] = eve.project.ID
	g.call(t, http.MethodPost, "/v1/keys/spend", eve.owner.as, theirs).fails(t, http.StatusNotFound, domain.CodeNotFound)

	if got := g.spend(t, g.as(), map[string]int64{"tokens": -501}, with(*v.SpendID)); got.Spent["tokens"] != -500 {
		t.Errorf("got %v given back of 500", got)
	}
	if got := g.spend(t, g.as(), map[string]int64{"tokens": -501}, with(*v.SpendID)); got.Spent["tokens"] != -500 {
		t.Errorf("got %v for the same request", got)
	}
	refused("twice", g.as(), g.body(less, with(*v.SpendID)), http.StatusConflict, domain.CodeConflict)
	refused("twice by a member", g.n.owner.as, g.body(less, with(*v.SpendID)), http.StatusConflict, domain.CodeConflict)
	if got := g.left(t); got["tokens"] != 1000 {
		t.Errorf("got %v left, want all", got)
	}

	late := g.verify(t, map[string]int64{"tokens": 10})
	g.Pass(time.Hour)
	if got := g.spend(t, g.as(), less, with(*late.SpendID)); got.Spent["tokens"] != 0 {
		t.Errorf("got %v given back to another hour", got)
	}
	g.Pass(time.Second)
	old := g.verify(t, map[string]int64{"tokens": 10})
	g.Pass(24*time.Hour + time.Second)
	refused("an old spend_id", g.as(), g.body(less, with(*old.SpendID)), http.StatusUnprocessableEntity, domain.CodeValidationFailed)
}
