package domain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestKeyStatus(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, test := range []struct {
		name      string
		expiresAt time.Time
		expired   bool
	}{
		{"null", time.Time{}, false},
		{"now", now, true},
		{"a day ago", now.Add(-day), true},
		{"in a day", now.Add(day), false},
		{"in a nanosecond", now.Add(1), false},
		{"now, elsewhere", now.In(time.FixedZone("", 3600)), true},
	} {
		key := domain.Key{ExpiresAt: test.expiresAt}
		want := domain.KeyActive
		if test.expired {
			want = domain.KeyExpired
		}
		if got := key.Status(now); got != want {
			t.Errorf("%s: got %s, want %s", test.name, got, want)
		}
		for _, revokedAt := range []time.Time{now.Add(-day), now, now.Add(day)} { // clocks may differ between nodes
			key.RevokedAt = revokedAt
			if got, want := key.Status(now), domain.KeyRevoked; got != want {
				t.Errorf("%s, revoked: got %s, want %s", test.name, got, want)
			}
		}
	}
}

func TestSecretLive(t *testing.T) {
	t.Parallel()
	for validUntil, want := range map[time.Time]bool{{}: true, now: false, now.Add(-1): false, now.Add(1): true} {
		if got := (domain.Secret{ValidUntil: validUntil}).Live(now); got != want {
			t.Errorf("valid until %v: got %v, want %v", validUntil, got, want)
		}
	}
}

// A retiring token ends at its very moment, and one that does not exist has ended.
func TestRetiringLive(t *testing.T) {
	t.Parallel()
	for until, want := range map[time.Time]bool{{}: false, now: false, now.Add(-1): false, now.Add(1): true} {
		if got := (domain.Retiring{ValidUntil: until}).Live(now); got != want {
			t.Errorf("valid until %v: got %v, want %v", until, got, want)
		}
	}
	if got := (domain.KeyStatistics{Active: 1, Expired: 2, Revoked: 4}).Total(); got != 7 {
		t.Errorf("got %d keys, want 7", got)
	}
}

// fields returns the pointers that err complains of.
func fields(t *testing.T, err error) (pointers []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*domain.Error](err)
	if !ok || e.Code != domain.CodeValidationFailed {
		t.Fatalf("got %v, want validation_failed", err)
	}
	for _, f := range e.Fields {
		if f.Detail == "" {
			t.Errorf("%s: no detail", f.Pointer)
		}
		pointers = append(pointers, f.Pointer)
	}
	return pointers
}

func goodKeySpec() domain.KeySpec {
	return domain.KeySpec{Name: "n", Environment: domain.Live, Scopes: []domain.Scope{"keys:read"}, Metadata: map[string]string{"a": ""}}
}

func TestKeySpec(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range domain.MaxMetadataEntries + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for name, test := range map[string]struct {
		change func(*domain.KeySpec)
		want   []string
	}{
		"good":                      {func(*domain.KeySpec) {}, nil},
		"expired already":           {func(s *domain.KeySpec) { s.ExpiresAt = now.AddDate(-1, 0, 0) }, nil},
		"longest name":              {func(s *domain.KeySpec) { s.Name = strings.Repeat("é", 100) }, nil},
		"no name":                   {func(s *domain.KeySpec) { s.Name = "" }, []string{"/name"}},
		"spaces only":               {func(s *domain.KeySpec) { s.Name = " \t\n" }, []string{"/name"}},
		"name too long":             {func(s *domain.KeySpec) { s.Name = strings.Repeat("é", 101) }, []string{"/name"}},
		"NUL in name":               {func(s *domain.KeySpec) { s.Name = "a\x00" }, []string{"/name"}},
		"broken UTF-8 in name":      {func(s *domain.KeySpec) { s.Name = "a\xff" }, []string{"/name"}},
		"unknown environment":       {func(s *domain.KeySpec) { s.Environment = "prod" }, []string{"/environment"}},
		"second scope bad":          {func(s *domain.KeySpec) { s.Scopes = append(s.Scopes, "*") }, []string{"/scopes/1"}},
		"too many scopes":           {func(s *domain.KeySpec) { s.Scopes = make([]domain.Scope, 101) }, []string{"/scopes"}},
		"external id too long":      {func(s *domain.KeySpec) { s.ExternalID = strings.Repeat("x", 201) }, []string{"/external_id"}},
		"metadata name empty":       {func(s *domain.KeySpec) { s.Metadata = map[string]string{"": "x"} }, []string{"/metadata"}},
		"metadata value with NUL":   {func(s *domain.KeySpec) { s.Metadata = map[string]string{"x": "\x00"} }, []string{"/metadata"}},
		"too many metadata":         {func(s *domain.KeySpec) { s.Metadata = many }, []string{"/metadata"}},
		"metadata of 4 KiB":         {func(s *domain.KeySpec) { s.Metadata = map[string]string{"x": strings.Repeat("y", 4095)} }, nil},
		"metadata of 4 KiB and one": {func(s *domain.KeySpec) { s.Metadata = map[string]string{"x": strings.Repeat("y", 4096)} }, []string{"/metadata"}},
		"everything wrong": {func(s *domain.KeySpec) { *s = domain.KeySpec{Scopes: []domain.Scope{"x", "keys:read", "y"}} },
			[]string{"/name", "/environment", "/scopes/0", "/scopes/2"}},
	} {
		spec := goodKeySpec()
		test.change(&spec)
		if diff := cmp.Diff(test.want, fields(t, spec.Validate())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestKeyPatch(t *testing.T) {
	t.Parallel()
	key := domain.Key{
		ID: "key_1", Name: "before", Environment: domain.Test, Scopes: []domain.Scope{"keys:read"}, ExternalID: "x",
		Metadata: map[string]string{"a": "b"}, ExpiresAt: now, CreatedAt: now, Revision: 3,
	}
	got, err := domain.KeyPatch{}.Apply(key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(key, got); diff != "" {
		t.Errorf("an empty patch changes the key: %s", diff)
	}

	want := key
	want.Name, want.Scopes, want.ExternalID, want.Metadata, want.ExpiresAt = "after", nil, "", nil, time.Time{}
	got, err = domain.KeyPatch{
		Name: &want.Name, Scopes: &want.Scopes, ExternalID: &want.ExternalID, Metadata: &want.Metadata, ExpiresAt: &want.ExpiresAt,
	}.Apply(key)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	blank := ""
	_, err = domain.KeyPatch{Name: &blank, Scopes: &[]domain.Scope{"*"}}.Apply(key)
	if diff := cmp.Diff([]string{"/name", "/scopes/0"}, fields(t, err)); diff != "" {
		t.Error(diff)
	}
}

// A name that an earlier release accepted keeps no one from disabling what has
// it, nor from changing another field; giving such a name is refused.
func TestAPatchIsJudgedByWhatItChanges(t *testing.T) {
	t.Parallel()
	const old = "two\nlines"
	disabled, name := domain.Disabled, old
	if _, err := (domain.OrganizationPatch{Status: &disabled}).
		Apply(domain.Organization{Name: old, Slug: "acme", Status: domain.Active}); err != nil {
		t.Errorf("an organization with an old name cannot be disabled: %v", err)
	}
	if _, err := (domain.ProjectPatch{Status: &disabled}).
		Apply(domain.Project{Name: old, Slug: "UPPER", KeyPrefix: "sk", Status: domain.Active}); err != nil {
		t.Errorf("a project with old values cannot be disabled: %v", err)
	}
	never := time.Time{}
	if _, err := (domain.KeyPatch{ExpiresAt: &never}).Apply(domain.Key{Name: old, Environment: domain.Live}); err != nil {
		t.Errorf("the expiry of a key with an old name cannot be changed: %v", err)
	}
	if _, err := (domain.KeyPatch{Name: &name}).Apply(domain.Key{Name: "key",
		Environment: domain.Live}); domain.CodeOf(err) != domain.CodeValidationFailed {
		t.Errorf("giving the old name: got %v, want validation_failed", err)
	}
}
