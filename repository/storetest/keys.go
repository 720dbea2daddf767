package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testKeys(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	got, err := s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)
	n, err := s.CountKeys(ctx, p.Scope())
	equal(t, n, 1, err)

	key.Name, key.ExpiresAt, key.Revision = "renamed", epoch.Add(time.Hour), 2
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	key.RevokedAt, key.RevokedReason, key.Revision = epoch, "lost", 3
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	got, err = s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)

	// Revocation is the last word, whatever the layers above believe.
	key.RevokedAt, key.RevokedReason, key.Revision = time.Time{}, "", 4
	code(t, s.UpdateKey(ctx, p.Scope(), key), domain.CodeConflict)
	got, err = s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got.Status(epoch), domain.KeyRevoked, err)

	check(t, s.DeleteKey(ctx, p.Scope(), key.ID))
	code(t, s.DeleteKey(ctx, p.Scope(), key.ID), domain.CodeNotFound)
}

func testKeyStatistics(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	_, other := newTenant(t, s, "other")
	check(t, s.CreateKey(ctx, other.Scope(), newKey(other, "foreign", epoch)))
	day := epoch.Truncate(24 * time.Hour)
	now := day.Add(12 * time.Hour)
	for _, times := range [][3]time.Time{ // created, revoked, expiring
		{day},
		{day.Add(24*time.Hour - time.Microsecond), now, now.AddDate(0, 0, 1)},
		{day.AddDate(0, 0, -1), time.Time{}, now},
		{day.AddDate(0, 0, -40), time.Time{}, day.AddDate(0, 0, 7)},
		{day.AddDate(0, 0, -41)},
	} {
		k := newKey(p, "k", times[0])
		k.RevokedAt, k.ExpiresAt = times[1], times[2]
		check(t, s.CreateKey(ctx, p.Scope(), k))
	}
	got, err := s.KeyStatistics(ctx, p.Scope(), day.AddDate(0, 0, -30), now)
	equal(t, got, domain.KeyStatistics{Active: 3, Expired: 1, Revoked: 1, Days: []domain.KeyDay{
		{Day: day.AddDate(0, 0, -1), Created: 1}, {Day: day, Created: 2, Revoked: 1, Expiring: 1}, {Day: day.AddDate(0, 0, 7), Expiring: 1},
	}}, err)
	organizations, err := s.CountOrganizations(ctx)
	equal(t, organizations, 2, err)
	projects, err := s.CountProjects(ctx)
	equal(t, projects, 2, err)
}

func testKeyFilters(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	ids := map[string]domain.KeyID{}
	add := func(name string, change func(*domain.Key)) {
		k := newKey(p, name, epoch)
		change(&k)
		check(t, s.CreateKey(ctx, p.Scope(), k))
		ids[name] = k.ID
	}
	add("Live_100%", func(*domain.Key) {})
	add("Salón CAFÉ", func(k *domain.Key) { k.RevokedAt = epoch })
	add("test!", func(k *domain.Key) { k.Environment = domain.Test })
	add("past", func(k *domain.Key) { k.ExpiresAt = epoch.Add(-time.Second) })
	add("now", func(k *domain.Key) { k.ExpiresAt = epoch })
	add("future", func(k *domain.Key) { k.ExpiresAt, k.ExternalID = epoch.Add(time.Second), "cust_7" })
	add("gone", func(k *domain.Key) { k.RevokedAt, k.ExpiresAt = epoch, epoch.Add(-time.Second) })
	use := func(name, token string, at time.Time) domain.Use {
		return domain.Use{ProjectID: p.ID, KeyID: ids[name], TokenID: domain.TokenID(token), First: at, Last: at}
	}
	check(t, s.RecordUses(ctx, []domain.Use{
		use("past", "000000000001", epoch), use("now", "000000000002", epoch), use("now", "000000000003", epoch.Add(time.Minute)),
	}))

	for _, test := range []struct {
		filter domain.KeyFilter
		want   []string
	}{
		{domain.KeyFilter{}, []string{"Live_100%", "Salón CAFÉ", "future", "gone", "now", "past", "test!"}},
		{domain.KeyFilter{Status: domain.KeyActive}, []string{"Live_100%", "future", "test!"}},
		{domain.KeyFilter{Status: domain.KeyExpired}, []string{"now", "past"}},
		{domain.KeyFilter{Status: domain.KeyRevoked}, []string{"Salón CAFÉ", "gone"}},
		{domain.KeyFilter{Environment: domain.Test}, []string{"test!"}},
		{domain.KeyFilter{ExternalID: "cust_7"}, []string{"future"}},
		{domain.KeyFilter{Search: "LIVE_1"}, []string{"Live_100%"}},
		{domain.KeyFilter{Search: "lk_live_FUT"}, []string{"future"}},
		{domain.KeyFilter{Search: "salón C"}, []string{"Salón CAFÉ"}},
		{domain.KeyFilter{Search: "salón cafÉ"}, []string{"Salón CAFÉ"}},
		{domain.KeyFilter{Search: "%"}, []string{"Live_100%"}}, // not a wildcard
		{domain.KeyFilter{Search: "!"}, []string{"test!"}},
		{domain.KeyFilter{Search: "' OR 1=1 --"}, nil},
		{domain.KeyFilter{Search: "cust_7"}, []string{"future"}}, // an external id
		{domain.KeyFilter{Search: "cust_"}, nil},                 // a part of one
		{domain.KeyFilter{Search: "test", Status: domain.KeyRevoked}, nil},
		{domain.KeyFilter{Used: domain.UsedEver}, []string{"now", "past"}},
		{domain.KeyFilter{Used: domain.UsedNever}, []string{"Live_100%", "Salón CAFÉ", "future", "gone", "test!"}},
		{domain.KeyFilter{LastUsedBefore: epoch.Add(time.Minute)}, []string{"past"}}, // "now" has a later use of another token
		{domain.KeyFilter{LastUsedBefore: epoch}, nil},
	} {
		list, err := s.ListKeys(ctx, p.Scope(), test.filter, domain.Page{Limit: 100}, epoch)
		var got []string
		for _, k := range list.Items {
			got = append(got, k.Name)
		}
		slices.Sort(got)
		equal(t, got, test.want, err)
	}
}

func testSecrets(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	org, p := newTenant(t, s, "acme")
	key := newKey(p, "k", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), key))
	secret := newSecret(key, "t1")
	check(t, s.AddSecret(ctx, p.Scope(), secret))
	gotSecret, caller, err := s.CallingKey(ctx, "t1")
	equal(t, caller, domain.CallingKey{Key: key, Project: p, Organization: org}, err)
	if diff := cmp.Diff(secret, gotSecret); diff != "" {
		t.Error(diff)
	}
	_, _, err = s.CallingKey(ctx, "T1") // letter case is significant
	code(t, err, domain.CodeNotFound)

	code(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t2")), domain.CodeConflict) // two current secrets
	other := newKey(p, "other", epoch)
	check(t, s.CreateKey(ctx, p.Scope(), other))
	code(t, s.AddSecret(ctx, p.Scope(), newSecret(other, "t1")), domain.CodeConflict) // the id is taken

	_, _, err = s.KeyByToken(ctx, "T1")
	code(t, err, domain.CodeNotFound)

	// After a rotation both tokens find the key, with what is left of the first.
	check(t, s.EndSecret(ctx, p.Scope(), "t1", epoch.Add(time.Hour)))
	check(t, s.AddSecret(ctx, p.Scope(), newSecret(key, "t2")))
	key.Prefix, key.RotatedAt, key.Revision = "lk_live_t2", epoch, 2
	key.Retiring = domain.Retiring{Prefix: "lk_live_t1", ValidUntil: epoch.Add(time.Hour)}
	check(t, s.UpdateKey(ctx, p.Scope(), key))
	got, err := s.GetKey(ctx, p.Scope(), key.ID)
	equal(t, got, key, err)
	check(t, s.RecordUses(ctx, []domain.Use{{ProjectID: p.ID, KeyID: key.ID, TokenID: "t1", First: epoch, Last: epoch}}))
	secret.ValidUntil = key.Retiring.ValidUntil
	for id, want := range map[domain.TokenID]domain.Secret{"t1": secret, "t2": newSecret(key, "t2")} {
		one, whole, err := s.CallingKey(ctx, id)
		equal(t, whole, domain.CallingKey{Key: key, Project: p, Organization: org}, err)
		other, alone, err := s.KeyByToken(ctx, id)
		equal(t, alone, key, err)
		if diff := cmp.Diff([]domain.Secret{want, want}, []domain.Secret{one, other}); diff != "" {
			t.Error(diff)
		}
	}
	live, err := s.LiveSecrets(ctx, p.Scope(), key.ID, epoch)
	equal(t, []time.Time{live[0].FirstUsedAt, live[1].FirstUsedAt}, []time.Time{{}, epoch}, err)
}

// testUses guarantees that uses of a key that is being deleted are dropped
// without losing those of other keys.
func testUses(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	_, p := newTenant(t, s, "acme")
	var uses []domain.Use
	keys := make([]domain.Key, 3)
	for i := range keys {
		keys[i] = newKey(p, fmt.Sprint("k", i), epoch)
		secret := newSecret(keys[i], domain.TokenID(fmt.Sprint("t", i)))
		check(t, s.CreateKey(ctx, p.Scope(), keys[i]))
		check(t, s.AddSecret(ctx, p.Scope(), secret))
		uses = append(uses, domain.Use{ProjectID: p.ID, KeyID: keys[i].ID, TokenID: secret.TokenID, First: epoch, Last: epoch})
	}
	deleted, recorded := make(chan struct{}), make(chan error, 1)
	go func() {
		<-deleted
		recorded <- s.RecordUses(ctx, uses)
	}()
	check(t, s.InTx(ctx, func(ctx context.Context, tx *repository.Store) error {
		err := tx.DeleteKey(ctx, p.Scope(), keys[1].ID)
		close(deleted)
		select {
		case err := <-recorded:
			t.Errorf("the uses were recorded while the deletion was under way: %v", err)
		case <-time.After(100 * time.Millisecond): // long enough to reach the key
		}
		return err
	}))
	check(t, <-recorded)
	for i, want := range []time.Time{epoch, {}, epoch} {
		got, err := s.GetKey(ctx, p.Scope(), keys[i].ID)
		if i == 1 {
			code(t, err, domain.CodeNotFound)
			continue
		}
		equal(t, got.LastUsedAt, want, err)
	}
}
