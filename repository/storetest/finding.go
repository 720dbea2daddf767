package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// testFinding guarantees that what is found by something of it is the right one, and
// that what is of a deleted tenant is not found.
func testFinding(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	other, theirs := newTenant(t, s, "other")
	key, plan := newKey(p, "k", epoch), newPlan(p, "Pro", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	check(t, s.CreatePlan(ctx, p.Scope(), plan))
	check(t, s.CreatePlan(ctx, p.Scope(), newPlan(p, "Free", epoch)))
	check(t, s.CreatePlan(ctx, theirs.Scope(), newPlan(theirs, "Pro", epoch)))

	got, err := s.GetProjectOfKey(ctx, key.ID)
	same(t, "GetProjectOfKey", got, p, err)
	got, err = s.GetProjectOfPlan(ctx, plan.ID)
	same(t, "GetProjectOfPlan", got, p, err)
	_, err = s.GetProjectOfKey(ctx, "key_none")
	code(t, err, domain.CodeNotFound)
	_, err = s.GetProjectOfPlan(ctx, "pln_none")
	code(t, err, domain.CodeNotFound)
	found, err := s.FindPlan(ctx, p.Scope(), plan.ID)
	same(t, "FindPlan", found, plan, err)
	_, err = s.FindPlan(ctx, theirs.Scope(), plan.ID)
	code(t, err, domain.CodeNotFound)
	plans, err := s.AllPlans(ctx, p.Scope())
	check(t, err)
	if len(plans) != 2 || plans[0].Name != "Free" || plans[1].Name != "Pro" {
		t.Errorf("got the plans %+v, want those of the project by name", plans)
	}

	names, err := s.KeyNames(ctx, p.Scope(), []string{string(key.ID), "key_none"})
	same(t, "KeyNames", names, map[string]string{string(key.ID): "k"}, err)
	names, err = s.KeyNames(ctx, theirs.Scope(), []string{string(key.ID)})
	same(t, "KeyNames of another project", names, map[string]string{}, err)
	names, err = s.PlanNames(ctx, p.Scope(), []string{string(plan.ID), "pln_none"})
	same(t, "PlanNames", names, map[string]string{string(plan.ID): plan.Name}, err)
	names, err = s.PlanNames(ctx, theirs.Scope(), []string{string(plan.ID)})
	same(t, "PlanNames of another project", names, map[string]string{}, err)
	names, err = s.ProjectNames(ctx, org.Scope(), []string{string(p.ID), string(theirs.ID)})
	same(t, "ProjectNames", names, map[string]string{string(p.ID): p.Name}, err)
	names, err = s.ProjectNames(ctx, org.Scope(), nil)
	same(t, "ProjectNames of none", names, map[string]string{}, err)

	suspended, err := s.HasSuspendedProject(ctx, org.Scope())
	equal(t, suspended, false, err)
	theirs.Suspended, theirs.Revision = domain.Suspension{Since: epoch, Reason: "unpaid"}, 2
	check(t, s.UpdateProject(ctx, theirs.Scope(), theirs))
	suspended, err = s.HasSuspendedProject(ctx, other.Scope())
	equal(t, suspended, true, err)
	suspended, err = s.HasSuspendedProject(ctx, org.Scope())
	equal(t, suspended, false, err)
	check(t, s.DeleteProject(ctx, theirs.Scope(), epoch))
	suspended, err = s.HasSuspendedProject(ctx, other.Scope())
	equal(t, suspended, false, err)

	ann := newUser(t, s, "ann@example.com")
	around, err := s.OrganizationNamesAround(ctx, ann.ID, []string{"ann@example.com"})
	equal(t, len(around), 0, err)
	check(t, s.AddMember(ctx, org.Scope(), domain.Membership{UserID: ann.ID, Role: domain.Viewer, JoinedAt: epoch}))
	v := filled(t, domain.Invitation{ID: domain.NewID[domain.InvitationID](epoch), Email: ann.Email, Role: domain.Viewer}, 1)
	check(t, s.CreateInvitation(ctx, other.Scope(), v, []byte("digest")))
	around, err = s.OrganizationNamesAround(ctx, ann.ID, []string{"else@example.com", ann.Email})
	slices.Sort(around)
	equal(t, around, []string{"Acme", "Acme", "acme", "other"}, err)
	check(t, s.DeleteOrganization(ctx, org.Scope(), epoch))
	around, err = s.OrganizationNamesAround(ctx, ann.ID, []string{ann.Email})
	equal(t, around, []string{"Acme", "other"}, err)
	_, err = s.GetProjectOfKey(ctx, key.ID)
	code(t, err, domain.CodeNotFound)
	_, err = s.GetProjectOfPlan(ctx, plan.ID)
	code(t, err, domain.CodeNotFound)
}

// testPeople guarantees that sessions, mailed tokens and passwords change and end
// exactly when they should.
func testPeople(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	add := func(used, ends time.Duration) domain.SessionID {
		v := domain.Session{ID: domain.NewID[domain.SessionID](epoch), UserID: ann.ID, CreatedAt: epoch}
		v.LastUsedAt, v.ExpiresAt, v.RefreshDigest = epoch.Add(used), epoch.Add(ends), []byte(v.ID)
		check(t, s.CreateSession(ctx, v))
		return v.ID
	}
	const idle = -time.Hour
	good, ended, unused := add(idle, time.Microsecond), add(0, 0), add(idle-time.Microsecond, time.Hour)
	list, err := s.ListSessions(ctx, ann.ID, epoch, epoch.Add(idle), domain.Page{Limit: 10})
	check(t, err)
	if len(list.Items) != 1 || list.Items[0].ID != good {
		t.Errorf("got %+v, want the one session that has not ended", list.Items)
	}
	check(t, s.ForgetSessions(ctx, epoch, epoch.Add(idle)))
	for id, want := range map[domain.SessionID]domain.Code{good: "", ended: domain.CodeNotFound, unused: domain.CodeNotFound} {
		_, err := s.CallingUser(ctx, id)
		code(t, err, want)
	}
	check(t, s.TouchSession(ctx, good, epoch.Add(time.Second)))
	check(t, s.TouchSession(ctx, good, epoch)) // an older use
	got, err := s.CallingUser(ctx, good)
	equal(t, got.Session.LastUsedAt, epoch.Add(time.Second), err)

	check(t, s.AddMailedToken(ctx, ann.ID, "reset", []byte("one"), epoch))
	check(t, s.ProlongMailedToken(ctx, []byte("one"), epoch.Add(time.Hour)))
	id, err := s.UserByMailedToken(ctx, "reset", []byte("one"), epoch.Add(time.Hour-time.Microsecond))
	equal(t, id, ann.ID, err)
	code(t, s.ProlongMailedToken(ctx, []byte("two"), epoch), domain.CodeNotFound)

	hashes, err := s.PasswordHashes(ctx, "hash of", 10)
	equal(t, hashes, map[domain.UserID]string{ann.ID: "hash of ann@example.com"}, err)
	hashes, err = s.PasswordHashes(ctx, "other", 10)
	equal(t, len(hashes), 0, err)
	newUser(t, s, "bob@example.com")
	hashes, err = s.PasswordHashes(ctx, "hash of", 1)
	equal(t, len(hashes), 1, err)
	code(t, s.RewritePassword(ctx, ann.ID, "another", "new"), domain.CodeNotFound)
	check(t, s.RewritePassword(ctx, ann.ID, "hash of ann@example.com", "new"))
	_, hash, err := s.LockUser(ctx, ann.ID)
	equal(t, hash, "new", err)
	newUser(t, s, "ann@xn--mller-kva.de")
	emails, err := s.PunycodeEmails(ctx)
	equal(t, emails, []string{"ann@xn--mller-kva.de"}, err)

	check(t, s.AddSigningKey(ctx, repository.SigningKey{ID: "a", SealedPrivate: []byte{1}, CreatedAt: epoch}))
	check(t, s.AddSigningKey(ctx, repository.SigningKey{ID: "b", SealedPrivate: []byte{2}, CreatedAt: epoch}))
	check(t, s.DeleteSigningKey(ctx, "a"))
	keys, err := s.ListSigningKeys(ctx)
	equal(t, keys, []repository.SigningKey{{ID: "b", SealedPrivate: []byte{2}, CreatedAt: epoch}}, err)
}

// testRefusals guarantees that refusals add up by hour and subject, and are returned
// once, when their hour has ended.
func testRefusals(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	hour := epoch.Truncate(time.Hour)
	count := func(at time.Time, subject string, recorded, omitted int) repository.RefusalCount {
		return repository.RefusalCount{Hour: at, Subject: subject, Recorded: recorded, Omitted: omitted}
	}
	for _, test := range []struct{ add, want repository.RefusalCount }{
		{count(hour, "usr_1", 1, 0), count(hour, "usr_1", 1, 0)},
		{count(hour, "usr_1", 2, 3), count(hour, "usr_1", 3, 3)},
		{count(hour, "usr_1", 0, 4), count(hour, "usr_1", 3, 7)},
		{count(hour, "usr_2", 0, 1), count(hour, "usr_2", 0, 1)},
		{count(hour.Add(time.Hour), "usr_1", 1, 1), count(hour.Add(time.Hour), "usr_1", 1, 1)},
	} {
		got, err := s.CountRefusals(ctx, test.add)
		equal(t, got, test.want, err)
	}
	ended, err := s.EndRefusals(ctx, hour.Add(time.Hour))
	slices.SortFunc(ended, func(a, b repository.RefusalCount) int { return strings.Compare(a.Subject, b.Subject) })
	equal(t, ended, []repository.RefusalCount{count(hour, "usr_1", 3, 7), count(hour, "usr_2", 0, 1)}, err)
	ended, err = s.EndRefusals(ctx, hour.Add(time.Hour))
	equal(t, len(ended), 0, err)
}

// testLastUses guarantees that a key's last use and that of its retiring token are
// kept apart, and that a hash is replaced only while it is the one that was read.
func testLastUses(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t1")))
	check(t, s.EndSecret(ctx, p.Scope(), "t1", epoch.Add(time.Hour)))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t2")))
	key.Retiring = domain.Retiring{Prefix: "lk_live_t1", ValidUntil: epoch.Add(time.Hour)}
	last, old, err := s.LastUses(ctx, p.Scope(), key)
	equal(t, []time.Time{last, old}, []time.Time{{}, {}}, err)
	use := func(token domain.TokenID, at time.Time) domain.Use {
		return domain.Use{ProjectID: p.ID, KeyID: key.ID, TokenID: token, First: at, Last: at}
	}
	check(t, s.RecordUses(ctx, nil))
	check(t, s.RecordUses(ctx, []domain.Use{use("t2", epoch.Add(time.Minute)), use("t1", epoch), use("t2", epoch)}))
	last, old, err = s.LastUses(ctx, p.Scope(), key)
	equal(t, []time.Time{last, old}, []time.Time{epoch.Add(time.Minute), epoch}, err)

	stored, successor := newSecret(key, "t2"), newSecret(key, "t2")
	successor.Digest, successor.PepperVersion, successor.Algorithm = []byte("new"), 7, domain.DjangoScrypt
	wrong := stored
	wrong.Digest = []byte("wrong")
	code(t, s.RehashSecret(ctx, p.Scope(), wrong, successor), domain.CodeConflict)
	check(t, s.RehashSecret(ctx, p.Scope(), stored, successor))
	got, _, err := s.KeyByToken(ctx, "t2")
	same(t, "the rehashed secret", got, successor, err)
}
