package service_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
	"github.com/latchkey-dev/latchkey/service/watch"
)

// follower is a key that follows the changes of its project, and its last cursor.
type follower struct {
	*world
	project *service.Project
	cursor  string
}

// follower returns a key of a project at a node.
func (w *world) follower(node *service.App, p *service.Project) *follower {
	w.Helper()
	_, _, key := w.key(p, domain.KeysVerify)
	project, err := node.Project(w.Context(), key, "")
	w.check(err)
	f := &follower{world: w, project: project}
	if first := f.ask(0); !first.Reset {
		w.Errorf("got %+v for no cursor, want a reset", first)
	}
	return f
}

func (f *follower) ask(wait time.Duration, uses ...service.ReportedUse) watch.Answer {
	f.Helper()
	answer, err := f.project.SyncKeys(f.Context(), service.Following{Cursor: f.cursor, Wait: wait, Uses: uses})
	f.check(err)
	f.cursor = answer.Cursor
	return answer
}

// hears asks until there is a change.
func (f *follower) hears(what string, reset bool, tokens ...domain.TokenID) {
	f.Helper()
	var answer watch.Answer
	for !answer.Reset && len(answer.Changed) == 0 {
		answer = f.ask(service.MaxSyncWait)
	}
	slices.Sort(answer.Changed)
	slices.Sort(tokens)
	if answer.Reset != reset || !slices.Equal(answer.Changed, tokens) {
		f.Errorf("%s: got %+v, want reset %v and %v", what, answer, reset, tokens)
	}
}

func tokenID(t *testing.T, text string) domain.TokenID {
	t.Helper()
	token, err := domain.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return token.ID()
}

// Guarantees that a client that follows a project hears of every change that makes an answer
// untrue, on whichever node it was made, and of nothing else.
func TestFollowersHearWhatChanges(t *testing.T) {
	onEach(t, func(w *world) {
		other := w.node()
		servicetest.Follow(w.T, other)
		ann := w.signUp("ann@example.com")
		organization, project := w.tenant(ann)
		key, token, _ := w.key(project, "documents:read")
		id := tokenID(w.T, token)
		f := w.follower(other, project)

		_, err := project.UpdateKey(w.Context(), key.ID, domain.KeyPatch{Scopes: &[]domain.Scope{"documents:write"}})
		w.check(err)
		f.hears("scopes", false, id)
		_, second := w.rotate(project, key.ID, domain.Rotation{Grace: new(time.Hour)})
		f.hears("a rotation", false, id)
		_, err = project.RevokeKey(w.Context(), key.ID, "")
		w.check(err)
		f.hears("a revocation", false, id, tokenID(w.T, second))
		w.check(project.DeleteKey(w.Context(), key.ID))
		f.hears("a deletion", false, id, tokenID(w.T, second))

		// What answers do not carry, and what is not of this project.
		stranger := w.NewProject(organization, "Other")
		foreign, _, _ := w.key(stranger)
		_, err = stranger.RevokeKey(w.Context(), foreign.ID, "")
		w.check(err)
		_, err = project.Update(w.Context(), domain.ProjectPatch{Name: new("Renamed")})
		w.check(err)
		_, err = organization.Update(w.Context(), domain.OrganizationPatch{Name: new("Renamed")})
		w.check(err)
		_, err = project.CreatePlan(w.Context(), domain.PlanSpec{Name: "Pro"})
		w.check(err)
		w.key(project)

		for _, status := range []domain.Status{domain.Disabled, domain.Active} {
			_, err = project.Update(w.Context(), domain.ProjectPatch{Status: &status})
			w.check(err)
			f.hears("the project is "+string(status), true)
			_, err = organization.Update(w.Context(), domain.OrganizationPatch{Status: &status})
			w.check(err)
			f.hears("the organization is "+string(status), true)
		}
		for what, s := range w.suspenders(organization, project) {
			w.check(s.suspend(w.Context()))
			f.hears("suspended: "+what, true)
			w.check(s.resume(w.Context()))
			f.hears("resumed: "+what, true)
		}
	})
}

// Guarantees that uses which are reported count for the key and its project, apart from
// the requests, and as its last use; that token ids of others are ignored without a word;
// and what it costs: nothing for tokens that the node knows, and otherwise one statement.
func TestReportedUses(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		organization, project := w.tenant(ann)
		key, token, _ := w.key(project)
		_, cold, _ := w.key(project)
		_, foreign, _ := w.key(w.NewProject(organization, "Other"))
		f := w.follower(w.App, project)
		_, err := project.VerifyKey(w.Context(), service.Question{Token: token})
		w.check(err)

		at := w.Now()
		report := func(tokens ...string) (statements int) {
			count := &storetest.Fault{}
			var uses []service.ReportedUse
			for _, text := range tokens {
				uses = append(uses, service.ReportedUse{TokenID: tokenID(w.T, text), Count: 7, LastAt: at.Add(time.Hour)})
			}
			_, err := f.project.SyncKeys(count.Context(w.Context()), service.Following{Uses: uses})
			w.check(err)
			return len(count.Seen())
		}
		if n := report(token); n != 0 {
			w.Errorf("a use of a token that is known cost %d statements", n)
		}
		if n := report(foreign, cold, token, w.forged(), foreign); n > 1 {
			w.Errorf("uses of tokens that are not known cost %d statements", n)
		}
		w.check(w.RecordUses(w.Context()))
		got := w.outcomes(project, domain.UsageQuery{KeyID: key.ID})
		if want := map[domain.Outcome]int64{domain.OutcomeValid: 1, domain.OutcomeReported: 14}; !maps.Equal(got, want) {
			w.Errorf("got %v, want %v", got, want)
		}
		all := w.outcomes(project, domain.UsageQuery{})
		if all[domain.OutcomeReported] != 21 {
			w.Errorf("got %v for the project", all)
		}
		used, err := project.GetKey(w.Context(), key.ID)
		w.check(err)
		if used.LastUsedAt.After(at) || used.LastUsedAt.IsZero() {
			w.Errorf("last used at %v, and it is %v", used.LastUsedAt, at)
		}
		usage, err := project.Usage(w.Context(), domain.UsageQuery{
			Interval: domain.InTotal, Since: at.Add(-time.Hour), Until: at.Add(time.Hour),
		})
		w.check(err)
		if len(usage.Items) != 1 || usage.Items[0].Requests != all[domain.OutcomeValid] {
			w.Errorf("got %+v: reported uses are no requests", usage.Items)
		}
	})
}

// Guarantees that a node which does not know of every change gives no answer to keep,
// and does not say that nothing has changed.
func TestDegradedNodesVouchForNothing(t *testing.T) {
	onEach(t, func(w *world) {
		_, project := w.tenant(w.signUp("ann@example.com"))
		_, token, key := w.key(project, domain.KeysVerify)
		node := w.node()
		in, err := node.Project(w.Context(), key, "")
		w.check(err)
		_, err = in.SyncKeys(w.Context(), service.Following{})
		w.code(err, domain.CodeUnavailable)
		v, err := in.VerifyKey(w.Context(), service.Question{Token: token})
		w.check(err)
		if v.Keep.MaxAge != 0 {
			w.Errorf("got %+v from a node that hears nothing", v.Keep)
		}
		cut := servicetest.Follow(w.T, node)
		v, err = in.VerifyKey(w.Context(), service.Question{Token: token})
		w.check(err)
		answer, err := in.SyncKeys(w.Context(), service.Following{})
		w.check(err)
		if v.Keep.MaxAge != domain.LongestAnswer {
			w.Errorf("got %+v from a node that hears everything", v.Keep)
		}
		waiting := make(chan error)
		go func() {
			_, err := in.SyncKeys(w.Context(), service.Following{Cursor: answer.Cursor, Wait: service.MaxSyncWait})
			waiting <- err
		}()
		cut()
		w.code(<-waiting, domain.CodeUnavailable)
	})
}

// Guarantees that calls which wait take no places from others: a key, a project and a
// network have their own bounds, and who is beyond them is refused and no one else; and
// that a place is free again when its call has ended.
func TestWaitersOfOneTenantDoNotStarveAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	node := w.Another(service.Options{SyncWaiters: 6})
	servicetest.Follow(t, node)
	ann := w.signUp("ann@example.com")
	organization, project := w.tenant(ann)
	from := func(p *service.Project, ip string) *service.Project {
		_, _, caller := w.key(p, domain.KeysVerify)
		key, _ := caller.ProvenKey()
		handle, err := node.Project(t.Context(), domain.ProvenPrincipal(key, nil, domain.Origin{IP: ip}), "")
		w.check(err)
		return handle
	}
	crowd := from(project, "192.0.2.1")
	first, err := crowd.SyncKeys(t.Context(), service.Following{})
	w.check(err)
	waits := service.Following{Cursor: first.Cursor, Wait: service.MaxSyncWait}
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range 3 {
		handle := from(project, fmt.Sprintf("192.0.2.%d", i))
		waiting.Go(func() {
			if _, err := handle.SyncKeys(ctx, waits); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	servicetest.Eventually(t, "the network has all its places", func() bool {
		_, err := crowd.SyncKeys(t.Context(), service.Following{})
		return domain.CodeOf(err) == domain.CodeUnavailable
	})
	neighbor := from(w.NewProject(organization, "Other"), "198.51.100.1")
	_, err = neighbor.SyncKeys(t.Context(), service.Following{})
	w.check(err)
	leave()
	waiting.Wait()
	_, err = crowd.SyncKeys(t.Context(), service.Following{})
	w.check(err)
}
