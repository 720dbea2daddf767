package domain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// packedKeys are keys with everything, and with nothing that may be missing.
func packedKeys() map[string]struct {
	key    Key
	secret Secret
} {
	day := time.Date(2026, 3, 14, 15, 9, 26, 535898000, time.UTC)
	type packed = struct {
		key    Key
		secret Secret
	}
	full := Key{
		ID: "key_01", ProjectID: "prj_1", Name: "Ünïcode", Prefix: "lk_test_abc", Environment: Test,
		Scopes: []Scope{"documents:read", KeysVerify, "b:c"}, ExternalID: "ext", Metadata: map[string]string{"a": "b", "c": ""},
		CreatedAt: day, CreatedBy: Actor{ActorSystem, "system", "command line"}, ExpiresAt: day.Add(time.Hour),
		RevokedAt:     day.Add(time.Minute),
		RevokedReason: "why", RotatedAt: day, Retiring: Retiring{Prefix: "lk_test_old", ValidUntil: day.Add(time.Second)}, Revision: 300,
		Plan: KeyPlan{"pln_1", "Pro"}, Limits: LimitsWithDefaults([]Limit{
			{Name: "a", Type: RateLimit, Limit: Allow(5), Period: PeriodDay}, {Name: "b", Type: Quota, Limit: Unlimited()},
		}), AllowedIPs: []Network{"203.0.113.0/24", "2001:db8::/32", "0.0.0.0/0", "::/0", "::1/128"},
	}
	usual := full
	usual.Prefix, usual.CreatedBy = "lk_test_tok", Actor{ActorUser, string(NewID[UserID](day)), "Ann"}
	bare := Key{ID: "key_02", ProjectID: "prj_1", Name: "k", Prefix: "p", Environment: Live, Scopes: []Scope{},
		Metadata: map[string]string{}, CreatedAt: day, Revision: 1}
	digest := make([]byte, DigestLength)
	digest[31] = 7
	return map[string]packed{
		"full":  {full, Secret{TokenID: "tok", ProjectID: "prj_1", KeyID: "key_01", Algorithm: HMACSHA256, PepperVersion: 2, Digest: digest, ValidUntil: day}},
		"usual": {usual, Secret{TokenID: "tok", ProjectID: "prj_1", KeyID: "key_01", Algorithm: HMACSHA256, Digest: digest}},
		"bare":  {bare, Secret{TokenID: "", ProjectID: "prj_1", KeyID: "key_02", Algorithm: HMACSHA256, Digest: digest}},
		"1970":  {func() Key { k := bare; k.ExpiresAt = time.UnixMicro(0).UTC(); return k }(), Secret{ProjectID: "prj_1", KeyID: "key_02", Algorithm: HMACSHA256, Digest: digest}},
	}
}

func TestProvenKeyUnpacksToWhatWasPacked(t *testing.T) {
	t.Parallel()
	for name, want := range packedKeys() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant := NewTenant(Project{ID: "prj_1", Status: Active}, Organization{ID: "org_1", Status: Active}, nil)
			got := NewProvenKey(string(PackKey(nil, want.secret, want.key)), tenant)
			calling := CallingKey{Key: want.key, Project: tenant.Project, Organization: tenant.Organization}
			if diff := cmp.Diff(calling, got.CallingKey()); diff != "" {
				t.Errorf("the key: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(want.secret, got.Secret()); diff != "" {
				t.Errorf("the secret: -want +got:\n%s", diff)
			}
			for _, s := range append([]Scope{"", "x:y", "documents:rea", ProjectRead}, want.key.Scopes...) {
				if got, want := got.Holds(s), (CallingKey{Key: want.key}).Holds(s); got != want {
					t.Errorf("holds %q: got %v, want %v", s, got, want)
				}
			}
		})
	}
}

// TestUnusableInOrder guarantees that a revoked key is never taken for merely
// expired, that an expiry acts from its very microsecond on, and that a disabled
// organization or project ends a key that is good otherwise.
// The state of a key in memory is that of the key, at every moment.
func TestProvenKeyStatus(t *testing.T) {
	t.Parallel()
	for name, packed := range packedKeys() {
		proven := NewProvenKey(string(PackKey(nil, packed.secret, packed.key)), &Tenant{})
		end := packed.key.ExpiresAt
		for _, at := range []time.Time{time.UnixMicro(-1), time.UnixMicro(0), packed.key.CreatedAt, end.Add(-1), end} {
			at = at.Truncate(time.Microsecond)
			for _, revoked := range []bool{false, true} {
				key := packed.key
				if !revoked {
					key.RevokedAt = time.Time{}
				}
				proven = NewProvenKey(string(PackKey(nil, packed.secret, key)), &Tenant{})
				if got, want := proven.Status(at), key.Status(at); got != want {
					t.Errorf("%s at %v: got %s, want %s", name, at, got, want)
				}
			}
		}
		if got, want := fmt.Sprintf("%v %+v", proven, ProvenKey{}), string(packed.key.ID)+" no key"; got != want {
			t.Errorf("%s prints as %q, want %q", name, got, want)
		}
	}
}

// What is kept beside a packed key comes back with it, and the zero value is no key.
func TestWhatIsKeptBesideAKey(t *testing.T) {
	t.Parallel()
	tenant := &Tenant{Project: Project{ID: "prj_1"}}
	secret, key := plainKey()
	packed := string(PackKey(nil, secret, key))
	proven := NewProvenKey(packed, tenant).Metered(7)
	if proven.Line() != 7 || proven.Packed() != packed || proven.Tenant() != tenant || proven.IsZero() {
		t.Errorf("got line %d, tenant %p, zero %v", proven.Line(), proven.Tenant(), proven.IsZero())
	}
	if proven.ID() != key.ID || proven.TokenID() != secret.TokenID || proven.Environment() != Live {
		t.Errorf("got %s, token %s, %s", proven.ID(), proven.TokenID(), proven.Environment())
	}
	if !(ProvenKey{}).IsZero() || (ProvenKey{}).Line() != 0 {
		t.Error("the zero value is a key")
	}
	for _, a := range []Actor{
		{Kind: ActorKey, ID: string(NewID[KeyID](time.Now()))}, {Kind: ActorUser, ID: string(NewID[UserID](time.Now()))},
		{Kind: "robot", ID: "usr_" + strings.Repeat("0", 26)}, {Kind: ActorUser, ID: "x"}, {Kind: ActorKey, ID: "x"}, {},
	} {
		key.CreatedBy = a
		if _, got := repack(secret, key); got.CreatedBy.ID != a.ID {
			t.Errorf("made by %+v: got %+v", a, got.CreatedBy)
		}
	}
	fields := proven.Fields()
	for range fields.Scopes() {
		t.Error("a key without scopes has one")
	}
	key.Scopes, key.Metadata = []Scope{"a:b", "c:d"}, map[string]string{"x": "1", "y": "2"}
	fields = NewProvenKey(string(PackKey(nil, secret, key)), tenant).Fields()
	for s := range fields.Scopes() {
		if s != "a:b" {
			t.Errorf("the first scope is %s", s)
		}
		break
	}
	for name, value := range fields.Metadata() {
		if name != "x" || value != "1" {
			t.Errorf("the first of the metadata is %s=%s", name, value)
		}
		break
	}
}

func TestUnusableInOrder(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 14, 15, 9, 26, 535898000, time.UTC)
	active := Tenant{Project: Project{Status: Active}, Organization: Organization{Status: Active}}
	off, orgOff := active, active
	off.Project.Status, orgOff.Organization.Status = Disabled, Disabled
	for name, c := range map[string]struct {
		key    Key
		secret Secret
		tenant Tenant
		want   Code
	}{
		"good":                  {tenant: active},
		"revoked and expired":   {key: Key{RevokedAt: now, ExpiresAt: now}, tenant: off, want: CodeKeyRevoked},
		"expires now":           {key: Key{ExpiresAt: now}, tenant: active, want: CodeKeyExpired},
		"expires next":          {key: Key{ExpiresAt: now.Add(time.Microsecond)}, tenant: active},
		"expired in 1970":       {key: Key{ExpiresAt: time.UnixMicro(0)}, tenant: active, want: CodeKeyExpired},
		"retired":               {secret: Secret{ValidUntil: now}, tenant: off, want: CodeKeyExpired},
		"retires before expiry": {key: Key{ExpiresAt: now.Add(time.Hour)}, secret: Secret{ValidUntil: now.Add(time.Minute)}, tenant: active},
		"project disabled":      {tenant: off, want: CodeProjectDisabled},
		"organization disabled": {tenant: orgOff, want: CodeProjectDisabled},
	} {
		k := NewProvenKey(string(PackKey(nil, c.secret, c.key)), &c.tenant)
		if got := k.Unusable(now); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
