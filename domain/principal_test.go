package domain_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestPrincipal(t *testing.T) {
	t.Parallel()
	key := &domain.CallingKey{Key: domain.Key{ID: "key_1", Name: "ci", Scopes: []domain.Scope{"keys:read"}}}
	user := &domain.CallingUser{User: domain.User{ID: "usr_1", Email: "ada@example.com"}}
	named := &domain.CallingUser{User: domain.User{ID: "usr_1", Email: "ada@example.com", Name: "Ada"}}
	for name, test := range map[string]struct {
		caller            domain.Principal
		key, user, system bool
		actor             domain.Actor
	}{
		"anonymous":           {caller: domain.Principal{}},
		"key":                 {caller: domain.NewPrincipal(key, nil, domain.Origin{}), key: true, actor: domain.Actor{Kind: "key", ID: "key_1", Name: "ci"}},
		"user without a name": {caller: domain.NewPrincipal(nil, user, domain.Origin{}), user: true, actor: domain.Actor{Kind: "user", ID: "usr_1", Name: "ada@example.com"}},
		"both":                {caller: domain.NewPrincipal(key, named, domain.Origin{}), key: true, user: true, actor: domain.Actor{Kind: "user", ID: "usr_1", Name: "Ada"}},
		"the command line":    {caller: domain.System(), system: true, actor: domain.Actor{Kind: "system", ID: "system", Name: "command line"}},
	} {
		_, hasKey := test.caller.Key()
		_, hasUser := test.caller.User()
		if _, hasProven := test.caller.ProvenKey(); hasProven != test.key || test.caller.HasUser() != test.user {
			t.Errorf("%s: proven key %v, user %v", name, hasProven, test.caller.HasUser())
		}
		if hasKey != test.key || hasUser != test.user || test.caller.IsSystem() != test.system {
			t.Errorf("%s: key %v, user %v, system %v", name, hasKey, hasUser, test.caller.IsSystem())
		}
		if diff := cmp.Diff(test.actor, test.caller.Actor()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if id, ok := domain.NewPrincipal(nil, user, domain.Origin{}).UserID(); id != "usr_1" || !ok {
		t.Errorf("got %s, %v, want the user", id, ok)
	}
	for _, other := range []domain.Principal{{}, domain.System(), domain.NewPrincipal(key, nil, domain.Origin{})} {
		if id, ok := other.UserID(); id != "" || ok {
			t.Errorf("got %s, %v, want no user", id, ok)
		}
	}
	from := domain.Origin{IP: "192.0.2.1", UserAgent: "curl", RequestID: "r1"}
	for _, caller := range []domain.Principal{domain.NewPrincipal(key, nil, from), domain.ProvenPrincipal(domain.ProvenKey{}, user, from)} {
		if caller.Origin() != from {
			t.Errorf("got %+v, want %+v", caller.Origin(), from)
		}
	}
	if !key.Holds("keys:read") || key.Holds("keys:write") || key.Holds("") {
		t.Error("a key holds other scopes than those listed")
	}
}
