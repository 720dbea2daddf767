package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testEvents(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	orgA, p := newTenant(t, s, "a")
	orgB, _ := newTenant(t, s, "b")
	add := func(org domain.OrganizationID, action string, at time.Time) domain.Event {
		e := domain.Event{
			ID: domain.NewID[domain.EventID](at), At: at, Actor: domain.Actor{Kind: domain.ActorUser, ID: "usr_1", Name: "Ann"},
			Action: action,
			Target: domain.Target{Kind: "key", ID: "key_1", Name: "k"}, OrganizationID: org, ProjectID: p.ID,
			Origin:  domain.Origin{IP: "192.0.2.1", UserAgent: "curl", RequestID: "r"},
			Changes: domain.Changes{"name": {nil, "k"}},
		}
		check(t, s.AddEvent(ctx, e))
		return e
	}
	first, second := add(orgA.ID, "key.created", epoch), add(orgA.ID, "key.revoked", epoch.Add(time.Minute))
	add(orgB.ID, "key.created", epoch)
	person := add("", "user.updated", epoch)
	people, err := s.ListAccountEvents(ctx, domain.EventFilter{Actor: "usr_1"}, domain.Page{Limit: 10})
	equal(t, people.Items, []domain.Event{person}, err)

	for _, test := range []struct {
		filter domain.EventFilter
		want   []domain.Event
	}{
		{domain.EventFilter{}, []domain.Event{second, first}},
		{domain.EventFilter{Action: "key.created", Actor: "usr_1", Target: "key_1"}, []domain.Event{first}},
		{domain.EventFilter{Actor: "usr_2"}, []domain.Event{}},
		{domain.EventFilter{Since: epoch.Add(time.Minute)}, []domain.Event{second}},
		{domain.EventFilter{Until: epoch.Add(time.Minute)}, []domain.Event{first}},
	} {
		list, err := s.ListEvents(ctx, orgA.Scope(), test.filter, domain.Page{Limit: 10})
		equal(t, list.Items, test.want, err)
	}
}

// testPages guarantees that paging through a list that grows shows each of its
// items once.
func testPages(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	want := map[domain.KeyID]bool{}
	for i := range 7 {
		k := newKey(p, fmt.Sprint("k", i), epoch.Add(time.Duration(i/3)*time.Second)) // several share a time
		check(t, s.CreateKey(ctx, p.Scope(), k))
		want[k.ID] = true
	}
	page := domain.Page{Limit: 2}
	for n := 0; ; n++ {
		list, err := s.ListKeys(ctx, p.Scope(), domain.KeyFilter{}, page, epoch)
		check(t, err)
		for _, k := range list.Items {
			if !want[k.ID] {
				t.Fatalf("%s came twice, or was not there at first", k.Name)
			}
			delete(want, k.ID)
		}
		if list.Next.IsZero() {
			break
		}
		page.After = list.Next
		check(t, s.CreateKey(ctx, p.Scope(), newKey(p, fmt.Sprint("late", n), epoch.Add(time.Hour))))
	}
	equal(t, len(want), 0, nil)
}
