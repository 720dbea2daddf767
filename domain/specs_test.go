package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// Each field of an imported row is checked, and the row needs no environment.
func TestImportRow(t *testing.T) {
	t.Parallel()
	good := domain.ImportRow{Name: "k", Algorithm: domain.SHA256Hex, Hash: domain.Hidden(strings.Repeat("0", 64))}
	django := func(r *domain.ImportRow) {
		r.Algorithm, r.Hash, r.Prefix = domain.DjangoSHA512, domain.Hidden("sha512$$"+strings.Repeat("0", 128)), "abcdefgh"
	}
	for name, test := range map[string]struct {
		change func(*domain.ImportRow)
		want   []string
	}{
		"good":                    {func(*domain.ImportRow) {}, nil},
		"for tests":               {func(r *domain.ImportRow) { r.Environment = domain.Test }, nil},
		"good, of Django":         {django, nil},
		"of Django, no prefix":    {func(r *domain.ImportRow) { django(r); r.Prefix = "" }, []string{"/prefix"}},
		"of Django, with its dot": {func(r *domain.ImportRow) { django(r); r.Prefix = "abc.def" }, []string{"/prefix"}},
		"a dot elsewhere":         {func(r *domain.ImportRow) { r.Prefix = "abc.def" }, nil},
		"longest prefix":          {func(r *domain.ImportRow) { r.Prefix = strings.Repeat("!", 63) + "~" }, nil},
		"prefix too long":         {func(r *domain.ImportRow) { r.Prefix = strings.Repeat("x", 65) }, []string{"/prefix"}},
		"space in the prefix":     {func(r *domain.ImportRow) { r.Prefix = "a b" }, []string{"/prefix"}},
		"DEL in the prefix":       {func(r *domain.ImportRow) { r.Prefix = "a\x7fb" }, []string{"/prefix"}},
		"unknown algorithm":       {func(r *domain.ImportRow) { r.Algorithm = "md5" }, []string{"/algorithm"}},
		"Latchkey's own":          {func(r *domain.ImportRow) { r.Algorithm = domain.HMACSHA256 }, []string{"/algorithm"}},
		"unknown environment":     {func(r *domain.ImportRow) { r.Environment = "production" }, []string{"/environment"}},
		"bad hash":                {func(r *domain.ImportRow) { r.Hash = "0" }, []string{"/hash"}},
		"unread":                  {func(r *domain.ImportRow) { r.Unread, r.Name = "is no object", "" }, []string{""}},
		"created before 1970":     {func(r *domain.ImportRow) { r.CreatedAt = time.Unix(-1, 0) }, []string{"/created_at"}},
		"the rest": {func(r *domain.ImportRow) {
			r.Name, r.Scopes, r.ExternalID = "", []domain.Scope{"x"}, strings.Repeat("x", 201)
			r.Metadata, r.ExpiresAt = map[string]string{"": ""}, time.Unix(-1, 0)
		}, []string{"/name", "/scopes/0", "/external_id", "/metadata", "/expires_at"}},
	} {
		row := good
		test.change(&row)
		if diff := cmp.Diff(test.want, fields(t, row.Validate())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestInvitationSpec(t *testing.T) {
	t.Parallel()
	for _, role := range domain.Roles {
		if err := (domain.InvitationSpec{Email: "ada@example.com", Role: role}).Validate(); err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
	for _, test := range []struct {
		spec domain.InvitationSpec
		want []string
	}{
		{domain.InvitationSpec{Email: "ada", Role: domain.Viewer}, []string{"/email"}},
		{domain.InvitationSpec{Email: "ada@example.com", Role: "root"}, []string{"/role"}},
		{domain.InvitationSpec{}, []string{"/email", "/role"}},
	} {
		if diff := cmp.Diff(test.want, fields(t, test.spec.Validate())); diff != "" {
			t.Errorf("%+v: %s", test.spec, diff)
		}
	}
}

// Guarantees that a change by which a key can do more, or for longer, is seen as
// one, each by itself; and that a change that only takes away is not.
func TestWidens(t *testing.T) {
	t.Parallel()
	before := domain.Key{Prefix: "lk_live_1", ExternalID: "x", Scopes: []domain.Scope{"a:b", "c:d"}, ExpiresAt: now}
	for name, test := range map[string]struct {
		change func(*domain.Key)
		want   bool
	}{
		"nothing":             {func(*domain.Key) {}, false},
		"a name":              {func(k *domain.Key) { k.Name = "n" }, false},
		"an earlier end":      {func(k *domain.Key) { k.ExpiresAt = now.Add(-1) }, false},
		"a later end":         {func(k *domain.Key) { k.ExpiresAt = now.Add(1) }, true},
		"no end":              {func(k *domain.Key) { k.ExpiresAt = time.Time{} }, true},
		"fewer scopes":        {func(k *domain.Key) { k.Scopes = []domain.Scope{"c:d"} }, false},
		"scopes in new order": {func(k *domain.Key) { k.Scopes = []domain.Scope{"c:d", "a:b"} }, false},
		"another scope":       {func(k *domain.Key) { k.Scopes = []domain.Scope{"a:b", "e:f"} }, true},
		"another external id": {func(k *domain.Key) { k.ExternalID = "y" }, true},
		"no external id":      {func(k *domain.Key) { k.ExternalID = "" }, true},
		"another token":       {func(k *domain.Key) { k.Prefix = "lk_live_2" }, true},
	} {
		after := before
		test.change(&after)
		if got := after.Widens(before); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
	unending := before
	unending.ExpiresAt = time.Time{}
	if before.Outlasts(unending) || unending.Outlasts(unending) || !unending.Outlasts(before) {
		t.Error("a key that never ends outlasts every key that ends, and no other does")
	}
}

// A patch changes what it names, and is refused for what it names.
func TestEachFieldOfAPatch(t *testing.T) {
	t.Parallel()
	key := domain.Key{Name: "n", Environment: domain.Live, Scopes: []domain.Scope{"a:b"}}
	long, name, past := strings.Repeat("x", 201), "", time.Unix(-1, 0)
	for pointer, patch := range map[string]domain.KeyPatch{
		"/name":        {Name: &name},
		"/scopes/0":    {Scopes: &[]domain.Scope{"x"}},
		"/external_id": {ExternalID: &long},
		"/metadata":    {Metadata: &map[string]string{"": ""}},
		"/expires_at":  {ExpiresAt: &past},
	} {
		_, err := patch.Apply(key)
		if diff := cmp.Diff([]string{pointer}, fields(t, err)); diff != "" {
			t.Errorf("%s: %s", pointer, diff)
		}
	}
	got, err := domain.KeyPatch{Scopes: &[]domain.Scope{"c:d", "a:b", "c:d"}}.Apply(key)
	if diff := cmp.Diff([]domain.Scope{"c:d", "a:b"}, got.Scopes); err != nil || diff != "" {
		t.Errorf("scopes that repeat: %v %s", err, diff)
	}

	organization := domain.Organization{Name: "Acme", Slug: "acme", Status: domain.Active}
	slug, disabled := "other", domain.Disabled
	changed, err := domain.OrganizationPatch{Slug: &slug, Status: &disabled}.Apply(organization)
	if want := (domain.Organization{Name: "Acme", Slug: "other", Status: domain.Disabled}); err != nil || changed != want {
		t.Errorf("got %+v, %v, want %+v", changed, err, want)
	}
	status := domain.Status("paused")
	_, err = domain.OrganizationPatch{Name: &name, Slug: &name, Status: &status}.Apply(organization)
	if diff := cmp.Diff([]string{"/name", "/slug", "/status"}, fields(t, err)); diff != "" {
		t.Errorf("an organization: %s", diff)
	}
}

// Guarantees that no search reaches the database with a text on which it fails.
func TestSearchesAreText(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		for want, filter := range map[string]interface{ Validate() error }{
			"search":      domain.KeyFilter{Search: bad},
			"external_id": domain.KeyFilter{ExternalID: bad},
			"actor":       domain.EventFilter{Actor: bad},
			"target":      domain.EventFilter{Target: bad},
		} {
			if diff := cmp.Diff([]string{want}, fields(t, filter.Validate())); diff != "" {
				t.Errorf("%q: %s", bad, diff)
			}
		}
	}
	if err := (domain.KeyFilter{Search: "ü", ExternalID: "ü"}).Validate(); err != nil {
		t.Error(err)
	}
}

// The reading actions are those of viewers, of the audit trail, and asking about a key.
func TestReads(t *testing.T) {
	t.Parallel()
	for _, a := range append(actions(organizationActions), actions(projectActions)...) {
		want := strings.HasSuffix(string(a), ":read") || a == domain.KeysVerify
		if got := a.Reads(); got != want {
			t.Errorf("%s: got %v, want %v", a, got, want)
		}
	}
}

// A refused scope is refused for its real reason.
func TestWhyAScopeIsRefused(t *testing.T) {
	t.Parallel()
	for scope, want := range map[domain.Scope]string{"keys:import": "reserved", "members:read": "reserved", "Keys": "must look like"} {
		if why := domain.ValidateScope(scope); !strings.Contains(why, want) {
			t.Errorf("%s: got %q, want that it says %q", scope, why, want)
		}
	}
}

// A suspension ends the use of an organization and of a project until it is lifted.
func TestSuspensionEndsUse(t *testing.T) {
	t.Parallel()
	for _, status := range []domain.Status{domain.Active, domain.Disabled} {
		for _, since := range []time.Time{{}, now} {
			want := status == domain.Active && since.IsZero()
			suspended := domain.Suspension{Since: since}
			organization := domain.Organization{Status: status, Suspended: suspended}.Usable()
			project := domain.Project{Status: status, Suspended: suspended}.Usable()
			if organization != want || project != want {
				t.Errorf("%s, suspended %v: got %v and %v, want %v", status, since, organization, project, want)
			}
		}
	}
}
