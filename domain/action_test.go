package domain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

// The sentences of the HTTP surface on actions, roles and scopes, word by word.
const (
	organizationActions = `organization:read, :write, :delete, members:read, :write, projects:read, :write, audit:read`
	projectActions      = `project:read, :write, :delete, keys:read, :write, :verify, :import, usage:read, limits:read, :write, ` +
		`webhooks:read, :write`
	roleSentences = `**viewer** every :read but audit:read webhooks:read. ` +
		`**developer** viewer + keys:write, keys:verify, keys:import, limits:write. ` +
		`**admin** developer + every :write, project:delete, audit:read, webhooks:read. ` +
		`**owner** everything`
	keyScopes = `project:read, project:write, keys:read, keys:write, keys:verify, usage:read, limits:read, limits:write, webhooks:read`
	reserved  = `organization, members, projects, project, keys, audit, usage, limits, webhooks, tokens, sessions, users`
)

// actions expands a list in which ":write" means the resource before it.
func actions(list string) (all []domain.Action) {
	resource := ""
	for item := range strings.SplitSeq(list, ", ") {
		before, verb, _ := strings.Cut(item, ":")
		if before != "" {
			resource = before
		}
		all = append(all, domain.Action(resource+":"+verb))
	}
	return all
}

func TestRolesAreAsDocumented(t *testing.T) {
	t.Parallel()
	every := append(actions(organizationActions), actions(projectActions)...)
	holds := map[domain.Role][]domain.Action{}
	for sentence := range strings.SplitSeq(roleSentences, ". ") {
		_, sentence, _ = strings.Cut(sentence, "**")
		name, rest, _ := strings.Cut(sentence, "** ")
		all := map[domain.Action]bool{}
		for _, part := range strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == '+' }) {
			part = strings.TrimSpace(part)
			part, but, _ := strings.Cut(part, " but ")
			verb, isEvery := strings.CutPrefix(part, "every ")
			for _, a := range every {
				switch {
				case slices.Contains(strings.Fields(but), string(a)):
				case part == "everything", string(a) == part, isEvery && strings.HasSuffix(string(a), verb),
					slices.Contains(holds[domain.Role(part)], a):
					all[a] = true
				}
			}
		}
		for _, a := range every {
			if all[a] {
				holds[domain.Role(name)] = append(holds[domain.Role(name)], a)
			}
		}
	}
	if got, want := len(holds), len(domain.Roles); got != want {
		t.Fatalf("%d roles are documented, want %d", got, want)
	}
	for _, role := range domain.Roles {
		var got []domain.Action
		for _, a := range every {
			if role.Holds(a) {
				got = append(got, a)
			}
		}
		if diff := cmp.Diff(holds[role], got); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
	for _, a := range every {
		var want []domain.Role
		for _, role := range domain.Roles {
			if slices.Contains(holds[role], a) {
				want = append(want, role)
			}
		}
		if diff := cmp.Diff(want, domain.RolesHolding(a)); diff != "" {
			t.Errorf("%s: %s", a, diff)
		}
	}
}

// Guarantees that an unknown role holds nothing, can neither grant nor be
// granted, and that no role holds an unknown action.
func TestUnknownRolesAndActions(t *testing.T) {
	t.Parallel()
	for _, role := range []domain.Role{"", "root", "Owner", "owner "} {
		for _, a := range append(actions(organizationActions), "documents:read", "keys:read") {
			if role.Holds(a) {
				t.Errorf("%q holds %s", role, a)
			}
		}
		for _, known := range domain.Roles {
			if role.MayGrant(known) || known.MayGrant(role) {
				t.Errorf("%q and %q: one may grant the other", role, known)
			}
		}
		if role.Valid() {
			t.Errorf("%q is valid", role)
		}
	}
	for _, a := range []domain.Action{"", ":", "keys", "keys:", "keys:delete", ":read", "tokens:read", "users:read", "Documents:read",
		"documents:*", "documents:read "} {
		for _, role := range domain.Roles {
			if role.Holds(a) {
				t.Errorf("%s holds %q", role, a)
			}
		}
	}
}

// Guarantees that no one gives a higher role than their own, and that only
// owners make or change owners.
func TestMayGrant(t *testing.T) {
	t.Parallel()
	want := map[domain.Role][]domain.Role{
		domain.Viewer: nil, domain.Developer: nil,
		domain.Admin: {domain.Viewer, domain.Developer, domain.Admin},
		domain.Owner: domain.Roles,
	}
	for _, role := range domain.Roles {
		var got []domain.Role
		for _, other := range domain.Roles {
			if role.MayGrant(other) {
				got = append(got, other)
			}
		}
		if diff := cmp.Diff(want[role], got); diff != "" {
			t.Errorf("%s: %s", role, diff)
		}
	}
}

func TestValidateScope(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 32)
	own := []domain.Scope{"documents:read", "a:b", "a_b.c-1:d_e.f-2", domain.Scope(long + ":" + long + long)}
	for _, s := range append(actions(keyScopes), own...) {
		if why := domain.ValidateScope(s); why != "" {
			t.Errorf("%s: refused: %s", s, why)
		}
	}
	if diff := cmp.Diff(actions(keyScopes), domain.KeyScopes); diff != "" {
		t.Error(diff)
	}
	bad := []domain.Scope{
		"", ":", "documents", "documents:", ":read", "documents:read:all", "Documents:read", "documents:Read", "1documents:read",
		"documents:1read",
		"documents:*", "*:read", "*", "documents: read", "documents:read\n", "documents:read\x00", "dokumentе:read",
		domain.Scope(long + "a:b"),
		domain.Scope("a:" + long + long + "b"),
	}
	for _, a := range append(actions(organizationActions), actions(projectActions)...) {
		if !slices.Contains(actions(keyScopes), a) {
			bad = append(bad, a) // held by people only
		}
	}
	for resource := range strings.SplitSeq(reserved, ", ") {
		bad = append(bad, domain.Scope(resource+":invented"))
	}
	for _, s := range bad {
		if why := domain.ValidateScope(s); why == "" {
			t.Errorf("%q: taken, want it refused", s)
		}
	}
}

func TestOwnScopesAndRoles(t *testing.T) {
	t.Parallel()
	for _, role := range domain.Roles {
		if !role.Holds("documents:read") {
			t.Errorf("%s does not hold documents:read", role)
		}
		for _, a := range []domain.Action{"documents:write", "documents:reading", "documents.read:all"} {
			if got, want := role.Holds(a), role != domain.Viewer; got != want {
				t.Errorf("%s holds %s: %v, want %v", role, a, got, want)
			}
		}
	}
}
