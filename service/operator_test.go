package service_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// Guarantees that the numbers of an instance are its operator's and the command
// line's; to other callers there is no such page.
func TestInstance(t *testing.T) {
	onEach(t, func(w *world) {
		operator, bob := w.signUp("operator@example.com"), w.signUp("bob@example.com")
		_, project := w.tenant(bob)
		_, _, key := w.key(project, domain.KeysRead)
		for _, caller := range []domain.Principal{bob, key, {}} {
			got, err := w.Instance(w.Context(), caller)
			if domain.CodeOf(err) == "" || !cmp.Equal(got, service.Instance{}) {
				t.Errorf("%+v: got %+v, %v, want a refusal", caller, got, err)
			}
		}
		for _, caller := range []domain.Principal{operator, domain.System()} {
			got, err := w.Instance(w.Context(), caller)
			w.check(err)
			if got.Users != 2 || got.Organizations != 1 || got.Projects != 1 || got.Keys != 1 || got.Engine != w.Store.Engine() {
				t.Errorf("got %+v, want 2 users, one organization, project and key", got)
			}
			if len(got.SigningKeys) != 1 || got.SigningKeys[0].ID == "" || got.SigningKeys[0].CreatedAt.IsZero() {
				t.Errorf("got the signing keys %+v, want one", got.SigningKeys)
			}
			if len(got.Migrations) == 0 || got.Migrations[0].Name == "" || got.Migrations[0].AppliedAt.IsZero() {
				t.Errorf("got the migrations %+v, want all as applied", got.Migrations)
			}
		}
	})
}

func (w *world) logIn(email string) service.SignedIn {
	w.Helper()
	in, err := w.LogIn(w.Context(), domain.Origin{}, email, password)
	w.check(err)
	return in
}

// Guarantees that only the command line sees and changes all accounts, and that a
// change of what an account may see ends its sessions.
func TestOperatorsAreMadeByTheCommandLine(t *testing.T) {
	onEach(t, func(w *world) {
		first, bob := w.signUp("operator@example.com"), w.signUp("bob@example.com")
		bobs, _ := bob.UserID()
		for _, caller := range []domain.Principal{first, bob, {}} {
			_, err := w.SetOperator(w.Context(), caller, bobs, true)
			w.code(err, domain.CodeForbidden)
			_, err = w.SetUserStatus(w.Context(), caller, bobs, domain.Disabled)
			w.code(err, domain.CodeForbidden)
			_, err = w.FindUser(w.Context(), caller, string(bobs))
			w.code(err, domain.CodeForbidden)
			users, err := w.ListUsers(w.Context(), caller, domain.Page{Limit: 10})
			w.code(err, domain.CodeForbidden)
			if len(users.Items) != 0 {
				t.Errorf("got %+v with a refusal", users.Items)
			}
		}
		session := w.logIn("bob@example.com")
		for _, operator := range []bool{true, false} {
			user, err := w.SetOperator(w.Context(), domain.System(), bobs, operator)
			if err != nil || user.Operator != operator {
				t.Errorf("got %+v, %v, want an operator: %v", user, err, operator)
			}
			_, err = w.ProveUser(w.Context(), session.AccessToken)
			w.code(err, domain.CodeInvalidToken)
			session = w.logIn("bob@example.com")
			proved, err := w.ProveUser(w.Context(), session.AccessToken)
			w.check(err)
			caller := domain.NewPrincipal(nil, proved, domain.Origin{})
			if _, err := w.Instance(w.Context(), caller); (err == nil) != operator {
				t.Errorf("operator %v: got %v from the instance page", operator, err)
			}
		}
		user, err := w.SetUserStatus(w.Context(), domain.System(), bobs, domain.Active) // as it is
		w.check(err)
		if _, err = w.ProveUser(w.Context(), session.AccessToken); err != nil || user.Status != domain.Active {
			t.Errorf("got %+v, %v: a change that changes nothing ended a session", user, err)
		}
		byAddress, err := w.FindUser(w.Context(), domain.System(), " Bob@Example.com")
		if err != nil || byAddress.ID != bobs {
			t.Errorf("got %+v, %v, want the account of the address", byAddress, err)
		}
		_, err = w.SetOperator(w.Context(), domain.System(), domain.NewID[domain.UserID](w.Now()), true)
		w.code(err, domain.CodeNotFound)
		if n := w.countEvents("user.updated"); n != 2 {
			t.Errorf("got %d events, want 2", n)
		}
	})
}

// Guarantees that the first person who signs up becomes the operator, unless the
// command line has made an account before; and that the page for it says so.
func TestTheFirstIsTheOperator(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before func(*world)
		first  bool
	}{
		"a new instance": {func(*world) {}, true},
		"after an account was made": {func(w *world) {
			_, err := w.CreateUser(w.Context(), domain.System(), domain.SignUp{Email: "eve@example.com", Password: password}, false)
			w.check(err)
		}, false},
		"after a guest was made": {func(w *world) {
			_, err := w.CreateGuest(w.Context(), domain.System(), domain.SignUp{Email: "eve@example.com", Password: password})
			w.check(err)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(w *world) {
				c.before(w)
				_, first, err := w.Signup(w.Context())
				if err != nil || first != c.first {
					t.Errorf("got %v, %v, want that no one is the operator yet: %v", first, err, c.first)
				}
				ann := w.signUp("ann@example.com")
				if _, err := w.Instance(w.Context(), ann); (err == nil) != c.first {
					t.Errorf("got %v from the instance page, want it shown: %v", err, c.first)
				}
				if _, first, err := w.Signup(w.Context()); err != nil || first {
					t.Errorf("got %v, %v, want that there is an operator", first, err)
				}
				if _, err := w.Instance(w.Context(), w.signUp("bob@example.com")); err == nil {
					t.Error("the second to sign up sees the instance page")
				}
				_, err = w.CreateUser(w.Context(), ann, domain.SignUp{Email: "x@example.com", Password: password}, true)
				w.code(err, domain.CodeForbidden)
			})
		})
	}
}

// A person gives themselves another name; each change is in the audit trail, and
// what changes nothing is not.
func TestRename(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		account, err := w.Account(w.Context(), ann)
		w.check(err)
		for _, bad := range []string{"two\nlines", fmt.Sprintf("%101d", 0)} {
			_, err := account.Rename(w.Context(), bad)
			w.code(err, domain.CodeValidationFailed)
		}
		for range 2 {
			user, err := account.Rename(w.Context(), "Ann")
			if err != nil || user.Name != "Ann" {
				t.Errorf("got %+v, %v, want Ann", user, err)
			}
		}
		stored, err := w.FindUser(w.Context(), domain.System(), "ann@example.com")
		if err != nil || stored.Name != "Ann" {
			t.Errorf("got %+v, %v, want the new name stored", stored, err)
		}
		events, err := w.ListEvents(w.Context(), domain.System(), domain.EventFilter{Action: "user.updated"}, domain.Page{Limit: 10})
		w.check(err)
		if len(events.Items) != 1 || !cmp.Equal(events.Items[0].Changes, domain.Changes{"name": {"ann", "Ann"}}) {
			t.Errorf("got %+v, want one change of the name", events.Items)
		}
		_, err = w.Account(w.Context(), domain.Principal{})
		w.code(err, domain.CodeUnauthenticated)
	})
}

// Guarantees that an export has every event once, newest first; that it needs the
// right to read the trail; that it ends with the first failure of its reader; and
// that its place is free again in every case.
func TestExportIsWhole(t *testing.T) {
	onEach(t, func(w *world) {
		ann, bob := w.signUp("ann@example.com"), w.signUp("bob@example.com")
		org, _ := w.tenant(ann)
		o := mustGet(w, org)
		bobs, _ := bob.UserID()
		w.check(w.Store.AddMember(w.Context(), o.Scope(), domain.Membership{UserID: bobs, Role: domain.Developer, JoinedAt: w.Now()}))
		developers, err := w.Organization(w.Context(), bob, o.ID)
		w.check(err)
		const events = 2*domain.MaxPageSize + 1
		for i := range events - 2 { // beside those of the organization and its project
			w.check(w.Store.AddEvent(w.Context(), domain.Event{
				ID:             domain.NewID[domain.EventID](w.Now()),
				At:             w.Now().Add(time.Duration(i+1) * time.Second),
				Actor:          domain.Actor{Kind: domain.ActorSystem, ID: "system"},
				Action:         "key.updated",
				OrganizationID: o.ID,
			}))
		}
		for range 20 { // more than there are places
			_, err := developers.ExportEvents(w.Context(), domain.EventFilter{}, domain.Cursor{})
			w.code(err, domain.CodeForbidden)
			_, err = org.ExportEvents(w.Context(), domain.EventFilter{Action: "no action"}, domain.Cursor{})
			w.code(err, domain.CodeValidationFailed)

			stopped := errors.New("stopped")
			export, err := org.ExportEvents(w.Context(), domain.EventFilter{}, domain.Cursor{})
			w.check(err)
			pages := 0
			err = export.All(func([]domain.Event) error { pages++; return stopped })
			if !errors.Is(err, stopped) || pages != 1 {
				t.Errorf("got %v after %d pages, want the reader's failure after one", err, pages)
			}
		}
		export, err := org.ExportEvents(w.Context(), domain.EventFilter{}, domain.Cursor{})
		w.check(err)
		var all []domain.Event
		w.check(export.All(func(page []domain.Event) error {
			all = append(all, page...)
			return nil
		}))
		newestFirst := slices.IsSortedFunc(all, func(a, b domain.Event) int { return b.At.Compare(a.At) })
		seen := map[domain.EventID]bool{}
		for _, e := range all {
			seen[e.ID] = true
		}
		if len(all) != events || len(seen) != events || !newestFirst {
			t.Errorf("got %d events, %d different, newest first: %v; want %d", len(all), len(seen), newestFirst, events)
		}
	})
}
