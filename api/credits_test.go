package api_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// planWith makes a plan with limits.
func (w *world) planWith(t *testing.T, n tenant, name string, limits ...any) domain.PlanID {
	t.Helper()
	var p api.Plan
	w.call(t, http.MethodPost, n.path("/plans"), n.owner.as, map[string]any{"name": name, "limits": limits}).
		want(t, http.StatusCreated, &p)
	return p.ID
}

// creditsPer is a limit in credits that begins with so many.
func creditsPer(per string, initial int) map[string]any {
	return map[string]any{"name": "credits", "type": "credits", "initial": initial, "per": per}
}

// grant grants credits and returns what was done.
func (w *world) grant(t *testing.T, n tenant, as credential, body map[string]any) (done api.GrantedCredits) {
	t.Helper()
	w.call(t, http.MethodPost, n.path("/credits"), as, body).want(t, http.StatusCreated, &done)
	return done
}

// Guarantees that a grant makes a request that had no credits succeed, for all keys of
// the customer, whichever of them names the credits; that nothing is taken back that is
// spent; and that the list has every change of credits and nothing else.
func TestGrantCredits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	pro := w.planWith(t, n, "Pro", creditsPer("external_id", 100))
	customer := map[string]any{"plan_id": pro, "external_id": "customer-1"}
	a, b := w.key(t, n.owner, n.project.ID, customer), w.key(t, n.owner, n.project.ID, customer)
	spend := func(key api.CreatedKey, credits int) string {
		var v api.Verification
		w.call(t, http.MethodPost, "/v1/keys/verify", n.owner.as, map[string]any{
			"key": key.Token, "project_id": n.project.ID, "cost": map[string]any{"credits": credits},
		}).want(t, http.StatusOK, &v)
		return string(v.Code)
	}
	if got := []string{spend(a, 60), spend(b, 50)}; !cmp.Equal(got, []string{"valid", "credits_exhausted"}) {
		t.Fatalf("got %v", got)
	}
	w.Pass(time.Second)
	byID := w.grant(t, n, n.owner.as, map[string]any{"limit": "credits", "key_id": a.Key.ID, "amount": 500, "reason": "invoice 118"})
	want := api.CreditEntry{
		ID: byID.Entry.ID, Limit: "credits", OwnerID: string(pro), Per: "external_id", Subject: "customer-1", Kind: "grant", Amount: 500,
		Reason: byID.Entry.Reason, CreatedAt: w.Now(),
		CreatedBy: api.Actor{Kind: domain.ActorUser, ID: string(n.owner.User.ID), Name: byID.Entry.CreatedBy.Name},
	}
	if diff := cmp.Diff(want, byID.Entry); diff != "" || byID.Entry.Reason.MustGet() != "invoice 118" || byID.Balance != 540 {
		t.Errorf("got the balance %d and (-want +got)\n%s", byID.Balance, diff)
	}
	if got := []string{spend(b, 541), spend(b, 50)}; !cmp.Equal(got, []string{"credits_exhausted", "valid"}) {
		t.Errorf("got %v after a grant", got)
	}
	w.Pass(time.Second)
	back := w.grant(t, n, n.owner.as, map[string]any{"limit": "credits", "external_id": "customer-1", "amount": -1_000_000})
	if back.Entry.Amount >= 0 || back.Entry.Amount < -490 || back.Balance != 490+back.Entry.Amount || !back.Entry.Reason.IsNull() {
		t.Errorf("got %+v, want what is available taken back", back)
	}
	w.Pass(time.Second)
	w.grant(t, n, n.owner.as, map[string]any{"limit": "credits", "external_id": "customer-1", "amount": 5})

	other := w.limitedKey(t, n, creditsPer("key", 0))
	w.Pass(time.Second)
	w.grant(t, n, n.owner.as, map[string]any{"limit": "credits", "key_id": other.Key.ID, "amount": 7})
	customers := []int64{5, back.Entry.Amount, 500, 100}
	for query, want := range map[string][]int64{
		"":                               append([]int64{7}, customers...),
		"external_id=customer-1":         customers,
		"external_id=customer-2":         {},
		"key_id=" + string(b.Key.ID):     customers,
		"key_id=" + string(other.Key.ID): {7},
		"external_id=customer-1&key_id=" + string(other.Key.ID): {},
	} {
		if diff := cmp.Diff(want, w.entries(t, n, query)); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", query, diff)
		}
	}
	w.call(t, http.MethodDelete, n.path("/keys/"+string(other.Key.ID)), n.owner.as, nil).want(t, http.StatusNoContent, nil)
	if got := w.entries(t, n, "key_id="+string(other.Key.ID)); !cmp.Equal(got, []int64{7}) {
		t.Errorf("got %v of a key that is deleted", got)
	}
}

// entries returns the amounts of the entries, read in pages of two.
func (w *world) entries(t *testing.T, n tenant, query string) []int64 {
	t.Helper()
	amounts, cursor := []int64{}, ""
	for {
		var page api.CreditEntryList
		w.call(t, http.MethodGet, n.path("/credits?limit=2&"+query+cursor), n.owner.as, nil).want(t, http.StatusOK, &page)
		for _, e := range page.Items {
			amounts = append(amounts, e.Amount)
		}
		if page.NextCursor.IsNull() {
			return amounts
		}
		cursor = "&cursor=" + url.QueryEscape(page.NextCursor.MustGet())
	}
}

// Guarantees that no key grants credits to itself, by whatever name it calls them, that
// another tenant's key is refused as one that does not exist, and that a grant never
// guesses which credits are meant.
func TestGrantsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, theirs := w.tenant(t, "ada"), w.tenant(t, "eve")
	free := creditsPer("external_id", 0)
	free["cost"] = 0 // so that a key without credits can ask for some
	pro := w.planWith(t, n, "Pro", free, map[string]any{
		"name": "requests", "type": "rate", "limit": 1000, "period": "second",
	})
	basic := w.planWith(t, n, "Basic", creditsPer("external_id", 0))
	key := func(plan domain.PlanID, externalID string, scopes ...string) api.CreatedKey {
		return w.key(t, n.owner, n.project.ID, map[string]any{
			"plan_id": plan, "external_id": externalID, "scopes": append([]string{}, scopes...),
		})
	}
	own := key(pro, "mallory", "limits:write", "limits:read")
	sibling, good := key(pro, "mallory"), key(pro, "customer-1")
	key(pro, "two-plans")
	key(basic, "two-plans")
	key(pro, "moved")
	left := key(basic, "moved")
	w.call(t, http.MethodPost, n.path("/keys/"+string(left.Key.ID)+"/revoke"), n.owner.as, nil).want(t, http.StatusOK, nil)
	foreign := w.key(t, theirs.owner, theirs.project.ID, map[string]any{"limits": []any{creditsPer("key", 0)}})

	type fields = map[string]any
	body := func(field string, value any, others ...fields) map[string]any {
		b := fields{"limit": "credits", "amount": 5, field: value}
		for _, more := range others {
			maps.Copy(b, more)
		}
		return b
	}
	for _, mine := range []map[string]any{
		body("key_id", own.Key.ID), body("key_id", sibling.Key.ID), body("external_id", "mallory"),
		body("external_id", "mallory", fields{"amount": -5}),
	} {
		w.call(t, http.MethodPost, n.path("/credits"), byKey(own.Token), mine).fails(t, http.StatusForbidden, domain.CodeForbidden)
	}
	w.grant(t, n, byKey(own.Token), body("key_id", good.Key.ID))
	w.grant(t, n, n.owner.as, body("external_id", "moved"))

	for want, bad := range map[string][]map[string]any{
		"/key_id": {
			body("amount", 5), body("key_id", foreign.Key.ID), body("key_id", w.aKeyID()),
		},
		"/external_id": {body("external_id", "two-plans"), body("external_id", "customer-1", fields{"key_id": good.Key.ID})},
		"/limit": {
			body("external_id", "no-keys"), body("key_id", good.Key.ID, fields{"limit": "requests"}),
			body("key_id", good.Key.ID, fields{"limit": "other"}),
		},
		"/amount": {body("key_id", good.Key.ID, fields{"amount": 0})},
		"/reason": {body("key_id", good.Key.ID, fields{"reason": "two\nlines"})},
	} {
		for _, b := range bad {
			got := w.call(t, http.MethodPost, n.path("/credits"), n.owner.as, b)
			if fields := fieldsOf(t, got); got.status != http.StatusUnprocessableEntity || len(fields) != 1 || fields[0].Pointer != want {
				t.Errorf("%v: got %d %s, want it refused at %s", b, got.status, got.body, want)
			}
		}
	}
	one := w.call(t, http.MethodPost, n.path("/credits"), n.owner.as, body("key_id", foreign.Key.ID))
	none := w.call(t, http.MethodPost, n.path("/credits"), n.owner.as, body("key_id", w.aKeyID()))
	if withoutRequestID(one) != withoutRequestID(none) {
		t.Errorf("another tenant's key gets %s, and none %s", one.body, none.body)
	}
	if got := w.entries(t, n, ""); !cmp.Equal(got, []int64{5, 5}) {
		t.Errorf("got the entries %v of two grants", got)
	}
}

// aKeyID is the id of no key.
func (w *world) aKeyID() domain.KeyID { return domain.NewID[domain.KeyID](w.Now()) }

// Guarantees that a grant whose answer was lost is granted once, and that the second
// answer is the first one.
func TestCreditsAreGrantedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, creditsPer("key", 10))
	again := both(n.owner.as, func(h http.Header) { h.Set("Idempotency-Key", "0123456789abcdef") })
	body := map[string]any{"limit": "credits", "key_id": key.Key.ID, "amount": 500}
	first := w.grant(t, n, again, body)
	w.Pass(time.Second)
	w.grant(t, n, n.owner.as, map[string]any{"limit": "credits", "key_id": key.Key.ID, "amount": 1})
	if diff := cmp.Diff(first, w.grant(t, n, again, body)); diff != "" || first.Balance != 510 {
		t.Errorf("got the balance %d, and another answer (-first +second)\n%s", first.Balance, diff)
	}
	if got := w.entries(t, n, ""); !cmp.Equal(got, []int64{1, 500, 10}) && !cmp.Equal(got, []int64{1, 10, 500}) {
		t.Errorf("got the entries %v", got)
	}
	body["amount"] = 501
	w.call(t, http.MethodPost, n.path("/credits"), again, body).
		fails(t, http.StatusUnprocessableEntity, domain.CodeIdempotencyMismatch)
}

// Guarantees that an export holds every entry, however many pages they fill, and that
// nothing in it is a formula to a spreadsheet but the number of an amount.
func TestCreditExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, creditsPer("key", 0))
	for i := range 205 {
		w.grant(t, n, n.owner.as, map[string]any{
			"limit": "credits", "key_id": key.Key.ID, "amount": []int{2, -1}[i%2], "reason": fmt.Sprint("=cmd|'/c calc'!A", i),
		})
	}
	as := func(accept string) credential {
		return both(n.owner.as, func(h http.Header) { h.Set("Accept", accept) })
	}
	export := w.call(t, http.MethodGet, n.path("/credits?key_id="+string(key.Key.ID)), as("text/csv"), nil).want(t, 200, nil)
	rows, err := csv.NewReader(bytes.NewReader(export.body)).ReadAll()
	if err != nil || len(rows) != 206 || !cmp.Equal(rows[0], domain.CreditEntryColumns) {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	sum := 0
	for _, row := range rows[1:] {
		var amount int
		if _, err := fmt.Sscan(row[7], &amount); err != nil || !strings.HasPrefix(row[8], "'=cmd") {
			t.Fatalf("got the row %q", row)
		}
		sum += amount
	}
	if sum != 104 {
		t.Errorf("got %d in all", sum)
	}
	export = w.call(t, http.MethodGet, n.path("/credits"), as("application/x-ndjson"), nil).want(t, 200, nil)
	lines := bytes.Split(bytes.TrimSpace(export.body), []byte("\n"))
	var entry api.CreditEntry
	if err := json.Unmarshal(lines[0], &entry); err != nil || len(lines) != 205 || entry.Subject != string(key.Key.ID) {
		t.Errorf("got %d lines, the first one %s", len(lines), lines[0])
	}
}

// forfeited returns a key whose credits were lost with a node.
func (s *scene) forfeited(t *testing.T) domain.KeyID {
	t.Helper()
	key := s.limitedKey(t, s.home, creditsPer("key", 100))
	s.call(t, http.MethodGet, "/v1/project", byKey(key.Token), nil).want(t, http.StatusOK, nil)
	s.loseLeases(t)
	return key.Key.ID
}

// loseLeases forfeits what nodes have leased, as if they had been killed long ago.
func (w *world) loseLeases(t *testing.T) {
	t.Helper()
	feed, err := w.Store.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()                 //nolint:errcheck // nothing is left to write
	for lost := int64(0); lost == 0; { // unless the node has reported in between
		nodes, err := w.Store.ListNodes(t.Context())
		for _, n := range nodes {
			err = errors.Join(err, feed.RemoveNode(t.Context(), n.ID))
		}
		if err != nil {
			t.Fatal(err)
		}
		ended, _, err := w.Store.SweepLeases(t.Context(), w.Now().Add(time.Hour), w.Now(), w.Now(), 100)
		if err != nil {
			t.Fatal(err)
		}
		lost = ended.Forfeited
	}
}

// Guarantees that what was lost with a node is brought back to the unit, once, by those
// who may, and that the books balance.
func TestRefundCredits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	key := w.limitedKey(t, n, creditsPer("key", 100))
	w.call(t, http.MethodGet, "/v1/project", byKey(key.Token), nil).want(t, http.StatusOK, nil)
	w.Pass(time.Second)
	w.loseLeases(t)
	lost := w.entries(t, n, "")[0]
	if lost >= 0 {
		t.Fatalf("got the entries %v, want a forfeit", w.entries(t, n, ""))
	}
	refund := func(fields map[string]any) answer {
		w.Pass(time.Second)
		body := map[string]any{"limit": "credits", "key_id": key.Key.ID}
		maps.Copy(body, fields)
		return w.call(t, http.MethodPost, n.path("/credits/refund"), n.owner.as, body)
	}
	var done api.GrantedCredits
	refund(map[string]any{"amount": 1, "reason": "incident 7"}).want(t, http.StatusCreated, &done)
	if done.Entry.Kind != "refund" || done.Entry.Amount != 1 {
		t.Errorf("got %+v", done)
	}
	refund(nil).want(t, http.StatusCreated, &done)
	if done.Entry.Amount != -lost-1 {
		t.Errorf("got %+v of the rest, want %d refunded", done, -lost-1)
	}
	refund(nil).fails(t, http.StatusConflict, domain.CodeConflict)
	refund(map[string]any{"amount": -1}).fails(t, http.StatusUnprocessableEntity, domain.CodeValidationFailed)
	health, err := w.Store.CheckHealth(t.Context())
	if err != nil || len(health.Faults) > 0 {
		t.Errorf("got %v, %v; want books that balance", health.Faults, err)
	}
}
