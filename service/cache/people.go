package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// peopleLimit bounds each table of People. There are fewer people than keys, so
// their entries are ordinary structs.
const peopleLimit = 1 << 16

// People are the sessions, access tokens and memberships that this node has
// used recently. It is safe for concurrent use.
type People struct {
	sessions table[domain.SessionID, domain.CallingUser]
	members  table[membership, Member]

	mu        sync.RWMutex
	tokens    map[TokenDigest]token
	forgotten int // how often all were forgotten
}

// TokenDigest is the SHA-256 digest of an access token.
type TokenDigest [32]byte

type token struct {
	session *entry[domain.CallingUser]
	expires time.Time
}

// membership is a user in a project or in an organization.
type membership struct {
	user         domain.UserID
	project      domain.ProjectID
	organization domain.OrganizationID
}

// Member is where a user is a member, and with which role.
type Member struct {
	Project      domain.Project // empty if the question was about the organization
	Organization domain.Organization
	Role         domain.Role
}

// Suspended returns the suspension that applies to a member there: that of the
// organization, or else that of the project.
func (m *Member) Suspended() domain.Suspension {
	if m.Organization.Suspended.Active() {
		return m.Organization.Suspended
	}
	return m.Project.Suspended
}

// NewPeople returns an empty cache. turns bounds the look-ups in progress.
func NewPeople(turns chan struct{}) *People {
	return &People{
		sessions: newTable[domain.SessionID, domain.CallingUser](turns),
		members:  newTable[membership, Member](turns),
		tokens:   map[TokenDigest]token{},
	}
}

// ByToken returns the user and session that an access token was found to belong
// to, if it has not expired and the session may still exist.
func (p *People) ByToken(digest TokenDigest, now time.Time) (*domain.CallingUser, bool) {
	p.mu.RLock()
	t, ok := p.tokens[digest]
	p.mu.RUnlock()
	if !ok || !now.Before(t.expires) || t.session.gone.Load() {
		return nil, false
	}
	return &t.session.value, true
}

// Since returns a moment in the life of a People. It lets RememberToken find
// out what its caller could not know yet.
func (p *People) Since() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.forgotten
}

// RememberToken keeps the session of an access token until the token expires.
// The caller has verified its signature and claims after the moment since. It
// does nothing if the session is no longer known, or if everything was
// forgotten after that moment: the reason may have been the key that signed the
// token.
func (p *People) RememberToken(since int, digest TokenDigest, session domain.SessionID, expires, now time.Time) {
	e := p.sessions.get(session)
	if e == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forgotten != since {
		return
	}
	if len(p.tokens) >= peopleLimit {
		p.sweep(now)
	}
	p.tokens[digest] = token{e, expires}
}

// sweep makes room: it drops tokens that are no longer valid, and a few others
// if that is not enough.
func (p *People) sweep(now time.Time) {
	spare := peopleLimit / 16
	for digest, t := range p.tokens {
		if now.Before(t.expires) && !t.session.gone.Load() {
			if spare == 0 {
				continue
			}
			spare--
		}
		delete(p.tokens, digest)
	}
}

// Session returns a session and its user, and calls read if they are not known.
func (p *People) Session(
	ctx context.Context, id domain.SessionID, read func(context.Context) (domain.CallingUser, error),
) (*domain.CallingUser, error) {
	return p.sessions.load(ctx, id, read)
}

// AtProject returns the membership of a user in a project, if it is known. It
// allocates nothing.
func (p *People) AtProject(user domain.UserID, at domain.ProjectID) (*Member, bool) {
	e := p.members.get(membership{user: user, project: at})
	if e == nil {
		return nil, false
	}
	return &e.value, true
}

// ProjectMember returns the membership of a user in a project, and calls read
// if it is not known.
func (p *People) ProjectMember(
	ctx context.Context, user domain.UserID, at domain.ProjectID, read func(context.Context) (Member, error),
) (*Member, error) {
	return p.members.load(ctx, membership{user: user, project: at}, read)
}

// OrganizationMember returns the membership of a user in an organization, and
// calls read if it is not known.
func (p *People) OrganizationMember(
	ctx context.Context, user domain.UserID, at domain.OrganizationID, read func(context.Context) (Member, error),
) (*Member, error) {
	return p.members.load(ctx, membership{user: user, organization: at}, read)
}

// Forget drops what the change makes untrue. Requests that start after it has
// returned do not get it.
func (p *People) Forget(c domain.Stale) {
	switch c.Kind {
	case domain.StaleSession:
		p.sessions.forget(domain.SessionID(c.ID))
	case domain.StaleUser:
		user := domain.UserID(c.ID)
		p.sessions.forgetIf(func(_ domain.SessionID, v *domain.CallingUser) bool { return v.User.ID == user })
		p.members.forgetIf(func(m membership, _ *Member) bool { return m.user == user })
	case domain.StaleProject:
		p.members.forgetIf(func(_ membership, v *Member) bool { return v.Project.ID == domain.ProjectID(c.ID) })
	case domain.StaleOrganization:
		p.members.forgetIf(func(_ membership, v *Member) bool {
			return v.Organization.ID == domain.OrganizationID(c.ID) || v.Project.OrganizationID == domain.OrganizationID(c.ID)
		})
	}
}

// ForgetAll drops everything.
func (p *People) ForgetAll() {
	p.mu.Lock()
	p.forgotten++
	clear(p.tokens)
	p.mu.Unlock()
	p.sessions.forgetIf(func(domain.SessionID, *domain.CallingUser) bool { return true })
	p.members.forgetIf(func(membership, *Member) bool { return true })
}

// table is a bounded map that reads what it lacks.
type table[K comparable, V any] struct {
	loader loader[K, *entry[V]]

	mu      sync.RWMutex
	entries map[K]*entry[V]
}

// entry is one copy. gone says that it is no longer true, for callers that kept
// a pointer to it.
type entry[V any] struct {
	value V
	gone  atomic.Bool
}

func newTable[K comparable, V any](turns chan struct{}) table[K, V] {
	return table[K, V]{loader: newLoader[K, *entry[V]](turns), entries: map[K]*entry[V]{}}
}

func (t *table[K, V]) get(k K) *entry[V] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.entries[k]
}

func (t *table[K, V]) load(ctx context.Context, k K, read func(context.Context) (V, error)) (*V, error) {
	if e := t.get(k); e != nil {
		return &e.value, nil
	}
	known := func() (*entry[V], bool) {
		e := t.get(k)
		return e, e != nil
	}
	e, err := t.loader.load(ctx, k, known, func(ctx context.Context) (*entry[V], error) {
		v, err := read(ctx)
		return &entry[V]{value: v}, err
	}, func(e *entry[V], err error) *entry[V] {
		if err == nil {
			t.put(k, e)
		}
		return e
	})
	if err != nil {
		return nil, err
	}
	return &e.value, nil
}

func (t *table[K, V]) put(k K, e *entry[V]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.entries {
		if len(t.entries) < peopleLimit {
			break
		}
		t.drop(other) // any of them: the order of a map is random
	}
	t.entries[k] = e
}

// drop needs the lock.
func (t *table[K, V]) drop(k K) {
	if e, ok := t.entries[k]; ok {
		e.gone.Store(true)
		delete(t.entries, k)
	}
}

func (t *table[K, V]) forget(k K) {
	t.loader.forget(k, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.drop(k)
	})
}

// forgetIf goes through all entries: the changes that need it are rare.
func (t *table[K, V]) forgetIf(untrue func(K, *V) bool) {
	t.loader.forgetAll(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		for k, e := range t.entries {
			if untrue(k, &e.value) {
				t.drop(k)
			}
		}
	})
}
