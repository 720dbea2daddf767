package cache

import (
	"context"
	"errors"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// Reader reads keys from the database. The first two functions return not_found for an
// id that does not exist.
type Reader struct {
	Key        func(context.Context, domain.TokenID) (domain.Secret, domain.Key, error)
	CallingKey func(context.Context, domain.TokenID) (domain.Secret, domain.CallingKey, error)

	// Plans reads all plans of a project.
	Plans func(context.Context, domain.ProjectScope) ([]domain.Plan, error)

	Payer fair.Payer // who pays for the look-up of ids that do not exist
}

// Load is like Get, but reads a key that it does not know: once, however many
// requests wait. It remembers for a short time that an id does not exist; it
// does not remember other errors. Besides the reader's errors it returns
// unavailable if too many requests wait or too many look-ups found nothing.
func (k *Keys) Load(ctx context.Context, token domain.TokenID, now time.Time, from Reader) (domain.ProvenKey, error) {
	id, ok := newID(token)
	if !ok {
		return k.read(ctx, token, from)
	}
	if k.isUnknown(id, now) {
		return domain.ProvenKey{}, domain.NotFound()
	}
	if k.futile.Full(from.Payer, now) {
		return domain.ProvenKey{}, errTooManyUnknown()
	}
	s := k.shard(id)
	known := func() (domain.ProvenKey, bool) { return k.find(s, id) } // Get has counted the miss
	return k.loader.load(ctx, id, known, func(ctx context.Context) (domain.ProvenKey, error) {
		if !k.futile.Take(from.Payer, now) {
			return domain.ProvenKey{}, errTooManyUnknown()
		}
		s.loads.Add(1)
		key, err := k.read(ctx, token, from)
		if domain.CodeOf(err) != domain.CodeNotFound {
			k.futile.GiveBack(from.Payer)
		}
		return key, err
	}, func(key domain.ProvenKey, err error) domain.ProvenKey {
		switch {
		case err == nil:
			return k.put(id, key)
		case domain.CodeOf(err) == domain.CodeNotFound:
			k.setUnknown(id, now)
		}
		return key
	})
}

func errTooManyUnknown() error { return domain.Unavailable(errors.New("too many unknown tokens")) }

// read reads a key, and its tenant unless that is probably in memory: then the
// database has a third less to do, or twice as much if the guess is wrong. If
// the tenant changes after the read has begun, the key is not kept, whichever
// way it was read.
func (k *Keys) read(ctx context.Context, token domain.TokenID, from Reader) (domain.ProvenKey, error) {
	if k.tenants.likely() {
		secret, key, err := from.Key(ctx, token)
		if err != nil {
			return domain.ProvenKey{}, err
		}
		if tenant := k.tenants.of(key.ProjectID); tenant != nil {
			return domain.NewProvenKey(string(domain.PackKey(nil, secret, key)), tenant), nil
		}
	}
	secret, key, err := from.CallingKey(ctx, token)
	if err != nil {
		return domain.ProvenKey{}, err
	}
	tenant := k.tenants.of(key.Project.ID)
	k.tenants.note(tenant != nil)
	if tenant == nil {
		tenant, err = newTenant(ctx, key, from)
	}
	return domain.NewProvenKey(string(domain.PackKey(nil, secret, key.Key)), tenant), err
}

func newTenant(ctx context.Context, key domain.CallingKey, from Reader) (*domain.Tenant, error) {
	var plans []domain.Plan
	var err error
	if key.HasPlans {
		plans, err = from.Plans(ctx, key.Project.Scope())
	}
	return domain.NewTenant(key.Project, key.Organization, plans), err
}
