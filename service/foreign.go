package service

import (
	"context"
	"hash/maphash"
	"runtime"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/cache"
	"github.com/latchkey-dev/latchkey/service/fair"
)

// maxSlowHashes is how many slow hashes one request computes at most. One that
// has more secrets to compare continues where it ended when it is repeated.
const maxSlowHashes = 8

// foreign bounds the slow hashes of imported tokens. Each is charged to the caller:
// the project that verifies a token, or the network that sends one. Nothing bounds
// a locator for all who ask, because a few networks that guess would then take the
// tries of its rightful users. The gates bound what all of them cost together.
type foreign struct {
	gate  *fair.Gate // half of the cores stay free for other requests
	large *fair.Gate // hashes of up to 128 MiB are computed one at a time

	tries *fair.Budget // for a locator and a payer
	seed  maphash.Seed
	wrong *cache.Wrong
}

func newForeign() *foreign {
	places := max(1, runtime.GOMAXPROCS(0)/2)
	bounds := fair.Bounds{
		Total:           places,
		PerPayer:        max(1, places/2),
		Waiting:         128,
		WaitingPerPayer: 32,
		Wait:            turnWait,
	}
	one := bounds
	one.Total, one.PerPayer = 1, 1
	return &foreign{
		gate:  fair.NewGate(bounds),
		large: fair.NewGate(one),
		tries: fair.NewBudget(fair.Pace{Burst: 32, Emission: 5 * time.Second}),
		seed:  maphash.MakeSeed(),
		wrong: cache.NewWrong(),
	}
}

// proveSlow compares the token with secrets whose hashes cost time, those of people
// and organizations with few of them first: a person who imports a prefix of
// another tenant's many times, into however many organizations, waits longer than
// the one who has one key. It returns the key whose secret it is, preferably one
// that may be used, or the zero one. It remembers tokens that fit none of the
// secrets; imports names a state of the index of imported tokens.
func (a *App) proveSlow(
	ctx context.Context, text string, slow []domain.ProvenKey, imports uint64, asks asker,
) (unusable domain.ProvenKey, err error) {
	if len(slow) == 0 {
		return domain.ProvenKey{}, nil
	}
	f := a.foreign
	state := imports<<16 | uint64(len(slow)) // else they are others, or in another order
	token := maphash.String(f.seed, string(asks.project)+"\x00"+text)
	done := f.wrong.Compared(token, state)
	if done >= len(slow) {
		return domain.ProvenKey{}, nil
	}
	fewestFirst(slow)
	for i := done; i < len(slow); i++ {
		if i == done+maxSlowHashes {
			return unusable, &domain.Error{
				Code: domain.CodeUnavailable, Detail: "Checking this API key takes long. Send it again.", RetryAfter: time.Second,
			}
		}
		if !asks.mayHash() {
			return unusable, errHashedEnough
		}
		leave, err := f.enter(ctx, slow[i], text, asks)
		if err != nil {
			return domain.ProvenKey{}, err
		}
		key, err := a.matchImported(ctx, slow[i], text)
		leave()
		if err != nil || !key.IsZero() && key.Unusable(asks.now) == "" {
			return key, err
		}
		if unusable.IsZero() {
			unusable = key
		}
		if unusable.IsZero() {
			f.wrong.Note(token, state, i+1)
		}
	}
	return unusable, nil
}

// enter takes a place for one slow hash, which is charged to the caller.
func (f *foreign) enter(ctx context.Context, key domain.ProvenKey, text string, asks asker) (leave func(), err error) {
	payer := asks.payer()
	if wait := f.tries.Spend(fair.Payer(prefixOf(text)+"\x00"+string(payer)), asks.now); wait > 0 {
		return nil, &domain.Error{
			Code: domain.CodeUnavailable, Detail: "Too many API keys with this prefix were tried. Try again later.", RetryAfter: wait,
		}
	}
	if _, algorithm, _ := key.Digest(); algorithm == domain.DjangoArgon2 || algorithm == domain.DjangoScrypt {
		return f.large.Enter(ctx, payer)
	}
	return f.gate.Enter(ctx, payer)
}

// fewestFirst sorts keys by how many of them their organization has, or the person
// who imported them, whichever is more. What the operator imports counts for the
// organization alone.
func fewestFirst(keys []domain.ProvenKey) {
	owners := make(map[domain.TokenID][2]string, len(keys))
	count := map[string]int{}
	for _, key := range keys {
		of := [2]string{string(key.Tenant().Organization.ID), ""}
		if f := key.Fields(); f.CreatedBy.Kind != domain.ActorSystem {
			of[1] = string(f.AppendCreatorID(nil))
		}
		owners[key.TokenID()] = of
		count[of[0]]++
		if of[1] != "" {
			count[of[1]]++
		}
	}
	weight := func(key domain.ProvenKey) int {
		of := owners[key.TokenID()]
		return max(count[of[0]], count[of[1]])
	}
	slices.SortStableFunc(keys, func(x, y domain.ProvenKey) int { return weight(x) - weight(y) })
}

// mayHash takes one of the slow hashes that a request may have.
func (a asker) mayHash() bool {
	if a.slow == nil {
		return true
	}
	*a.slow--
	return *a.slow >= 0
}
