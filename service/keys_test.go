package service_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// rotate gives the key a new token.
func (w *world) rotate(p *service.Project, id domain.KeyID, r domain.Rotation) (domain.Key, string) {
	w.Helper()
	k, token, err := p.RotateKey(w.Context(), id, r)
	w.check(err)
	return k, token.Reveal()
}

// answers checks what each token is answered now.
func (w *world) answers(want map[string]domain.Code) {
	w.Helper()
	for token, want := range want {
		_, err := w.ProveKey(w.Context(), token, nil)
		if got := domain.CodeOf(err); got != want {
			w.Errorf("%s…: got %v, want %q", token[:min(len(token), 20)], err, want)
		}
	}
}

// Guarantees that a rotation keeps the key what it is, that the token before it
// works until the very end of its grace, and not a moment longer.
func TestRotateKey(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		before, first, _ := w.key(project, "documents:read")
		before.LastUsedAt = w.Now()
		after, second := w.rotate(project, before.ID, domain.Rotation{Grace: new(time.Hour)})

		want := before
		want.Prefix, want.RotatedAt, want.Revision = after.Prefix, w.Now(), before.Revision+1
		want.Retiring = domain.Retiring{Prefix: before.Prefix, ValidUntil: w.Now().Add(time.Hour), LastUsedAt: w.Now()}
		if diff := cmp.Diff(want, after); diff != "" || after.Prefix == before.Prefix {
			w.Error(diff)
		}
		stored, err := project.GetKey(w.Context(), before.ID)
		w.check(err)
		if diff := cmp.Diff(want, stored); diff != "" {
			w.Error(diff)
		}
		w.Pass(time.Hour - time.Microsecond)
		w.answers(map[string]domain.Code{first: "", second: ""})
		w.Pass(time.Microsecond)
		w.answers(map[string]domain.Code{first: domain.CodeKeyExpired, second: ""})
		stored, err = project.GetKey(w.Context(), before.ID)
		w.check(err)
		if stored.Retiring.Live(w.Now()) {
			w.Errorf("got %v, want nothing retiring", stored.Retiring)
		}

		_, third := w.rotate(project, before.ID, domain.Rotation{Grace: new(time.Duration(0))})
		w.answers(map[string]domain.Code{first: domain.CodeKeyExpired, second: domain.CodeKeyExpired, third: ""})
		got, _ := w.rotate(project, before.ID, domain.Rotation{})
		if want := w.Now().Add(24 * time.Hour); got.Retiring.ValidUntil != want {
			w.Errorf("got %v, want %v by default", got.Retiring.ValidUntil, want)
		}
	})
}

// Guarantees that a rotation repeated because its answer was lost never ends the
// token that callers still send before the grace does, and that there are never
// more than two tokens.
func TestRotateKeyAgain(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, inUse, _ := w.key(project)
		once, lost := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Hour)})
		w.Pass(time.Minute)
		twice, second := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Hour)})
		w.answers(map[string]domain.Code{inUse: "", lost: domain.CodeKeyExpired, second: ""})
		if once.Retiring != twice.Retiring {
			w.Errorf("got %v, want it to keep its date %v", twice.Retiring, once.Retiring)
		}

		// The new token has been used, so a caller that rotates now does mean it.
		_, third := w.rotate(project, key.ID, domain.Rotation{})
		w.answers(map[string]domain.Code{inUse: domain.CodeKeyExpired, second: "", third: ""})
	})
}

// Guarantees that nothing that a key had before a rotation works longer than the
// grace that was asked for, though the newest token was never used; with a grace of
// zero nothing but the new token works.
func TestRotateKeySooner(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, first, _ := w.key(project)
		_, second := w.rotate(project, key.ID, domain.Rotation{Grace: new(24 * time.Hour)})
		sooner, third := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Hour)})
		want := domain.Retiring{Prefix: key.Prefix, ValidUntil: w.Now().Add(time.Hour), LastUsedAt: w.Now()}
		if got := sooner.Retiring; got != want {
			w.Errorf("got %v, want %v", got, want)
		}
		w.answers(map[string]domain.Code{first: "", second: domain.CodeKeyExpired})
		w.Pass(time.Hour)
		w.answers(map[string]domain.Code{first: domain.CodeKeyExpired, third: ""})

		_, fourth := w.rotate(project, key.ID, domain.Rotation{Grace: new(24 * time.Hour)})
		now, fifth := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Duration(0))})
		if now.Retiring.Live(w.Now()) {
			w.Errorf("got %v, want nothing retiring", now.Retiring)
		}
		w.answers(map[string]domain.Code{third: domain.CodeKeyExpired, fourth: domain.CodeKeyExpired, fifth: ""})
	})
}

// Guarantees that a use on another node counts before a rotation here.
func TestRotateKeyUsedElsewhere(t *testing.T) {
	onEach(t, func(w *world) {
		other := w.node()
		go other.Run(w.Context())
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, first, _ := w.key(project)
		_, second := w.rotate(project, key.ID, domain.Rotation{})
		w.Pass(time.Microsecond)
		used := w.Now()
		_, err := other.ProveKey(w.Context(), second, nil)
		w.check(err)
		servicetest.Eventually(w, "the key was last used when the other node proved it", func() bool {
			k, err := project.GetKey(w.Context(), key.ID)
			w.check(err)
			return k.LastUsedAt.Equal(used)
		})
		_, third := w.rotate(project, key.ID, domain.Rotation{})
		w.answers(map[string]domain.Code{first: domain.CodeKeyExpired, second: "", third: ""})
	})
}

func TestRotateKeyRefused(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		key, _, _ := w.key(project, "documents:read")
		for _, d := range []time.Duration{-time.Second, 30*24*time.Hour + time.Second} {
			_, _, err := project.RotateKey(w.Context(), key.ID, domain.Rotation{Grace: &d})
			w.code(err, domain.CodeValidationFailed)
		}
		w.rotate(project, key.ID, domain.Rotation{Grace: new(30 * 24 * time.Hour)})

		_, _, weak := w.key(project, domain.KeysWrite)
		_, _, err := w.project(weak, "").RotateKey(w.Context(), key.ID, domain.Rotation{})
		w.code(err, domain.CodeScopeNotHeld)
		_, _, reader := w.key(project, domain.KeysRead)
		_, _, err = w.project(reader, "").RotateKey(w.Context(), key.ID, domain.Rotation{})
		w.code(err, domain.CodeForbidden)
		_, others := w.tenant(w.signUp("eve@example.com"))
		_, _, err = others.RotateKey(w.Context(), key.ID, domain.Rotation{})
		w.code(err, domain.CodeNotFound)

		past := w.Now().Add(-time.Hour)
		_, err = project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{ExpiresAt: &past})
		w.check(err)
		_, _, err = project.RotateKey(w.Context(), key.ID, domain.Rotation{})
		w.code(err, domain.CodeKeyExpired)
		_, err = project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		_, _, err = project.RotateKey(w.Context(), key.ID, domain.Rotation{})
		w.code(err, domain.CodeKeyRevoked)
	})
}

// node returns a node with a connection of its own to the same database.
func (w *world) node() *service.App {
	w.Helper()
	return w.Another(service.Options{Store: storetest.New(w, w.DSN)})
}

// racers rotates a key 50 times at the same time, on two nodes, and returns the answers.
func (w *world) racers(owner domain.Principal, project domain.ProjectID, key domain.KeyID,
	idempotencyKey func(int) string) (answers []string) {
	w.Helper()
	nodes := []*service.App{w.App, w.node()}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			p, err := nodes[i%2].Project(w.Context(), owner, project)
			if err != nil {
				w.Error(err)
				return
			}
			k, token, err := p.RotateKey(w.Context(), key, domain.Rotation{IdempotencyKey: domain.Hidden(idempotencyKey(i))})
			if err != nil {
				w.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, fmt.Sprintf("%s %+v", token.Reveal(), k))
		})
	}
	all.Wait()
	return answers
}

// Guarantees that 50 parallel rotations under one Idempotency-Key, on two nodes,
// are one rotation with one answer.
func TestRivalRotationsOfOneRequest(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		key, inUse, _ := w.key(project)
		p, err := project.Get()
		w.check(err)
		answers := w.racers(ann, p.ID, key.ID, func(int) string { return "one-request-of-fifty" })
		for _, got := range answers {
			if got != answers[0] {
				w.Errorf("got two answers:\n%s\n%s", got, answers[0])
			}
		}
		after, err := project.GetKey(w.Context(), key.ID)
		w.check(err)
		if after.Revision != key.Revision+1 {
			w.Errorf("got %d rotations, want 1", after.Revision-key.Revision)
		}
		w.answers(map[string]domain.Code{inUse: ""})
	})
}

// Guarantees that 50 parallel rotations under different Idempotency-Keys, on two
// nodes, leave two live tokens: the one in use and the newest.
func TestRivalRotations(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, project := w.tenant(ann)
		key, inUse, _ := w.key(project)
		p, err := project.Get()
		w.check(err)
		w.racers(ann, p.ID, key.ID, func(i int) string { return fmt.Sprintf("request-number-%03d", i) })
		live, err := w.Store.LiveSecrets(w.Context(), p.Scope(), key.ID, w.Now())
		w.check(err)
		if len(live) != 2 || live[1].Prefix != key.Prefix {
			w.Errorf("got %d live tokens, want the newest and %s", len(live), key.Prefix)
		}
		after, err := project.GetKey(w.Context(), key.ID)
		w.check(err)
		if got := after.Revision - key.Revision; got != 50 || after.Prefix != live[0].Prefix {
			w.Errorf("got %d rotations ending in %s, want 50 ending in %s", got, after.Prefix, live[0].Prefix)
		}
		w.answers(map[string]domain.Code{inUse: ""})
	})
}

// Guarantees that looking for what nothing can hold is the asker's mistake and
// not an internal error, no matter who passes it on.
func TestFiltersThatNothingCanMatch(t *testing.T) {
	onEach(t, func(w *world) {
		organization, project := w.tenant(w.signUp("ann@example.com"))
		page := domain.Page{Limit: 1}
		for _, s := range []string{"a\x00b", "\xff"} {
			for _, f := range []domain.KeyFilter{{Search: s}, {ExternalID: s}} {
				_, err := project.ListKeys(w.Context(), f, page)
				w.code(err, domain.CodeValidationFailed)
			}
			for _, f := range []domain.EventFilter{{Actor: s}, {Action: s}, {Target: s}} {
				_, err := organization.ListEvents(w.Context(), f, page)
				w.code(err, domain.CodeValidationFailed)
				_, err = w.ListEvents(w.Context(), domain.System(), f, page)
				w.code(err, domain.CodeValidationFailed)
			}
		}
	})
}

// Guarantees that an unknown filter is refused by every list, and that audit events
// are found by what people know: an e-mail address, a name in any letter case, an id.
func TestListsAreNarrowedAsAsked(t *testing.T) {
	onEach(t, func(w *world) {
		in, err := w.SignUp(w.Context(), domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password, Name: "Ann Lee"})
		w.check(err)
		user, err := w.ProveUser(w.Context(), in.AccessToken)
		w.check(err)
		ann := domain.NewPrincipal(nil, user, domain.Origin{})
		org, project := w.tenant(ann)
		_, byKey, caller := w.key(project, domain.KeysWrite)
		_, _, err = w.project(caller, "").CreateKey(w.Context(), domain.KeySpec{Name: "Made by a key"})
		w.check(err)
		page := domain.Page{Limit: 20}
		_, err = project.ListKeys(w.Context(), domain.KeyFilter{Status: "inactive"}, page)
		w.code(err, domain.CodeValidationFailed)
		_, err = org.ListEvents(w.Context(), domain.EventFilter{Action: "Key created"}, page)
		w.code(err, domain.CodeValidationFailed)

		id, _ := ann.UserID()
		keys, err := project.ListKeys(w.Context(), domain.KeyFilter{CreatedBy: string(id)}, page)
		if err != nil || len(keys.Items) != 1 || !strings.HasPrefix(byKey, keys.Items[0].Prefix) {
			w.Errorf("got %v, %v, want the one key that a person made", keys.Items, err)
		}
		for f, want := range map[domain.EventFilter]int{
			{Actor: "ANN@example.com"}: 3, {Actor: string(id)}: 3, {Actor: "eve@example.com"}: 0,
			{Actor: "k"}: 1, {Target: "made BY a key"}: 1, {Target: "api", Action: "project.created"}: 1, {Target: "nothing"}: 0,
		} {
			events, err := org.ListEvents(w.Context(), f, page)
			if err != nil || len(events.Items) != want {
				w.Errorf("%+v: got %d events, %v, want %d", f, len(events.Items), err, want)
			}
		}
	})
}

// A scope that is asked for twice is held once, whichever way the key came by it,
// in the order of the first.
func TestScopesAreDistinct(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		twice := []domain.Scope{"documents:write", "documents:read", "documents:write", "documents:read"}
		want := []domain.Scope{"documents:write", "documents:read"}
		has := func(id domain.KeyID) {
			w.Helper()
			key, err := project.GetKey(w.Context(), id)
			w.check(err)
			if diff := cmp.Diff(want, key.Scopes); diff != "" {
				w.Error(diff)
			}
		}
		created, _, err := project.CreateKey(w.Context(), domain.KeySpec{Name: "k", Scopes: twice})
		w.check(err)
		has(created.ID)
		none := []domain.Scope{}
		_, err = project.UpdateKey(w.Context(), created.ID, domain.KeyPatch{Scopes: &none})
		w.check(err)
		updated, err := project.UpdateKey(w.Context(), created.ID, domain.KeyPatch{Scopes: &twice})
		w.check(err)
		has(updated.ID)

		row := made(w.T, domain.SHA256Hex, "a token made elsewhere")
		row.Scopes = twice
		_, others := w.tenant(w.signUp("bob@example.com"))
		w.importRows(others, row)
		imported, _ := w.stored(others)
		if diff := cmp.Diff(want, imported.Scopes); diff != "" {
			w.Error(diff)
		}
	})
}

// The audit trail tells of a rotation what it changed, and of a retiring token
// only where there was or is one.
func TestRotationEvents(t *testing.T) {
	onEach(t, func(w *world) {
		organization, project := w.tenant(w.signUp("ann@example.com"))
		key, _, _ := w.key(project)
		for _, grace := range []time.Duration{0, time.Hour, 0} {
			w.Pass(time.Second)
			_, token := w.rotate(project, key.ID, domain.Rotation{Grace: &grace})
			w.answers(map[string]domain.Code{token: ""}) // so that the next rotation ends the older one
		}
		events, err := organization.ListEvents(w.Context(), domain.EventFilter{Action: "key.rotated"}, domain.Page{Limit: 10})
		w.check(err)
		var got []string
		for _, e := range slices.Backward(events.Items) {
			change, known := e.Changes["retiring_until"]
			got = append(got, fmt.Sprintf("known %t: from one %t, to one %t", known, change[0] != nil, change[1] != nil))
		}
		want := []string{
			"known false: from one false, to one false", "known true: from one false, to one true",
			"known true: from one true, to one false",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Error(diff)
		}
	})
}
