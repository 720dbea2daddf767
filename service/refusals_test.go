package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
)

// refused returns the events of refused sign-ins of all pages, newest first.
func (w *world) refused() (events []domain.Event) {
	w.Helper()
	w.check(w.RecordRefusals(w.Context()))
	page := domain.Page{Limit: domain.MaxPageSize}
	for {
		list, err := w.ListEvents(w.Context(), domain.System(), domain.EventFilter{Action: "session.refused"}, page)
		w.check(err)
		events = append(events, list.Items...)
		if page.After = list.Next; page.After.IsZero() {
			return events
		}
	}
}

// Guarantees that a refused sign-in to an account is in the audit trail with its
// reason and where it came from, and that one to an address without an account
// leaves nothing: a stranger cannot write there what they like.
func TestRefusedSignInsAreAudited(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		id := userID(w.signUp("ann@example.com"))
		from := domain.Origin{IP: "192.0.2.7", UserAgent: "curl", RequestID: "r1"}
		_, err := w.LogIn(ctx, from, "ann@example.com", "a wrong passphrase")
		w.code(err, domain.CodeInvalidCredentials)
		_, err = w.LogIn(ctx, from, "stranger@example.com", "a wrong passphrase")
		w.code(err, domain.CodeInvalidCredentials)
		_, err = w.LogIn(ctx, from, "ann@example.com", password)
		w.check(err)
		_, err = w.SetUserStatus(ctx, domain.System(), id, domain.Disabled)
		w.check(err)
		w.Pass(time.Second)
		_, err = w.LogIn(ctx, from, "ann@example.com", password)
		w.code(err, domain.CodeInvalidCredentials)

		all := w.refused()
		seen, err := w.ListAccountEvents(ctx, domain.System(), domain.EventFilter{Action: "session.refused"}, domain.Page{Limit: 10})
		w.check(err)
		if len(seen.Items) != len(all) {
			t.Errorf("the operator sees %d refused sign-ins", len(seen.Items))
		}
		_, err = w.ListAccountEvents(ctx, w.signUp("bob@example.com"), domain.EventFilter{}, domain.Page{Limit: 10})
		w.code(err, domain.CodeNotFound)
		var got []string
		for _, e := range all {
			got = append(got, fmt.Sprint(e.Actor.Kind, e.Target, e.Origin, e.Changes["reason"][1]))
		}
		target := domain.Target{Kind: "user", ID: string(id), Name: "ann@example.com"}
		want := []string{
			fmt.Sprint(domain.ActorSystem, target, from, "account_disabled"),
			fmt.Sprint(domain.ActorSystem, target, from, "invalid_credentials"),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("want -, got +:\n%s", diff)
		}
	})
}

// Guarantees that guessing cannot fill the audit trail: in an hour an account, an
// organization and the instance have so many events, whichever nodes are asked,
// and beyond that one with the count when the hour has ended.
func TestRefusedSignInsHaveCeilings(t *testing.T) {
	onEach(t, func(w *world) {
		ctx := w.Context()
		other := w.Another(service.Options{})
		organization, _ := w.tenant(w.signUp("owner@example.com"))
		acme, err := organization.Get()
		w.check(err)
		add := func(n int, member bool) domain.User {
			u := domain.User{ID: domain.NewID[domain.UserID](w.Now()), Email: fmt.Sprintf("u%d@example.com", n), Status: domain.Active,
				CreatedAt: w.Now()}
			w.check(w.Store.CreateUser(ctx, u, ""))
			if member {
				w.check(w.Store.AddMember(ctx, acme.Scope(), domain.Membership{
					OrganizationID: acme.ID, UserID: u.ID, Role: domain.Viewer, JoinedAt: w.Now(),
				}))
			}
			return u
		}
		one := add(0, false)
		w.NoteRefusals(one, 7)
		other.NoteRefusals(one, 25)
		w.check(other.RecordRefusals(ctx))
		if got, want := len(w.refused()), 10; got != want {
			w.Errorf("got %d events of an account, want %d", got, want)
		}
		for n := range 12 {
			w.NoteRefusals(add(1+n, true), 10)
		}
		if got, want := len(w.refused()), 110; got != want {
			w.Errorf("got %d events with an organization, want %d", got, want)
		}
		for n := range 45 {
			other.NoteRefusals(add(100+n, false), 10)
		}
		w.check(other.RecordRefusals(ctx))
		if got, want := len(w.refused()), 500; got != want {
			w.Errorf("got %d events of the instance, want %d", got, want)
		}

		w.Pass(time.Hour)
		w.check(other.RecordRefusals(ctx))
		var sums []string
		for _, e := range w.refused() {
			if omitted, ok := e.Changes["omitted"]; ok {
				sums = append(sums, fmt.Sprintf("%s %v", e.Target.Kind, omitted[1]))
			}
		}
		slices.Sort(sums)
		if got, want := strings.Join(sums, ", "), "instance 60, organization 20, user 22"; got != want {
			w.Errorf("got sums %s, want %s", got, want)
		}
		w.NoteRefusals(one, 1)
		if got, want := len(w.refused()), 504; got != want {
			w.Errorf("got %d events when the next hour began, want %d", got, want)
		}
	})
}

// Guarantees that a refused sign-in asks the database the same whether or not the
// address has an account, so that its time does not tell; what is written comes
// after the answer.
func TestRefusedSignInAsksTheSame(t *testing.T) {
	t.Parallel()
	dsn := storetest.SQLite(t)
	w := prepare(t, storetest.NewBreakable(t, dsn), dsn)
	w.App = w.Another(service.Options{})
	w.signUp("ann@example.com")
	asked := map[string][]string{}
	for _, email := range []string{"ann@example.com", "eve@example.com"} {
		f := &storetest.Fault{}
		_, err := w.LogIn(f.Context(w.Context()), domain.Origin{IP: "192.0.2.7"}, email, "a wrong passphrase")
		w.code(err, domain.CodeInvalidCredentials)
		for _, statement := range f.Seen() {
			asked[email] = append(asked[email], strings.ReplaceAll(statement, email, "EMAIL"))
		}
	}
	if diff := cmp.Diff(asked["eve@example.com"], asked["ann@example.com"]); diff != "" || len(asked["ann@example.com"]) == 0 {
		w.Errorf("without an account -, with one +:\n%s", diff)
	}
}
