package domain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestSlugs(t *testing.T) {
	t.Parallel()
	for slug, good := range map[string]bool{
		"a": true, "1": true, "acme": true, "acme-2": true, "a-b-c": true, strings.Repeat("a", 63): true,
		"-": false, "-a": false, "a-": false, "a--b": false, "A": false, "a b": false, "a_b": false, "a.b": false, "é": false,
		"a\n": false, "a\x00": false,
		strings.Repeat("a", 64): false,
	} {
		var want []string
		if !good {
			want = []string{"/slug"}
		}
		if diff := cmp.Diff(want, fields(t, domain.ProjectSpec{Name: "n", Slug: slug}.Validate())); diff != "" {
			t.Errorf("%q: project: %s", slug, diff)
		}
		if diff := cmp.Diff(want, fields(t, domain.OrganizationSpec{Name: "n", Slug: slug}.Validate())); diff != "" {
			t.Errorf("%q: organization: %s", slug, diff)
		}
	}
}

func TestSlugFrom(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Acme":                         "acme",
		"Acme & Sons":                  "acme-sons",
		"  Acme  Sons, Ltd.  ":         "acme-sons-ltd",
		"2 be":                         "2-be",
		"Ünïcode":                      "n-code",
		"日本":                           "project",
		"---":                          "project",
		"":                             "project",
		strings.Repeat("ab ", 50):      strings.Repeat("ab-", 18) + "a",
		strings.Repeat("a", 54) + " b": strings.Repeat("a", 54),
	} {
		if got := domain.SlugFrom(name, "project"); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// Guarantees that a derived slug is always a good one, also with a suffix that
// tells it from one that is taken.
func FuzzSlugFrom(f *testing.F) {
	for _, name := range []string{"", "Acme & Sons", "日本", strings.Repeat("a-", 80), "İ\xff\x00"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		slug := domain.SlugFrom(name, "project")
		random := domain.RandomSlug()
		if len(random) != 7 {
			t.Errorf("got %q, want 7 characters", random)
		}
		for _, s := range []string{slug, slug + "-" + random} {
			if err := (domain.ProjectSpec{Name: "n", Slug: s}).Validate(); err != nil {
				t.Errorf("%q gives %q: %v", name, s, err)
			}
		}
	})
}

func TestProjectSpec(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		spec domain.ProjectSpec
		want []string
	}{
		{domain.ProjectSpec{Name: "n"}, nil},
		{domain.ProjectSpec{Name: "n", Slug: "s", KeyPrefix: "acme"}, nil},
		{domain.ProjectSpec{}, []string{"/name"}},
		{domain.ProjectSpec{Name: " ", Slug: "S", KeyPrefix: "sk"}, []string{"/name", "/slug", "/key_prefix"}},
	} {
		if diff := cmp.Diff(test.want, fields(t, test.spec.Validate())); diff != "" {
			t.Errorf("%+v: %s", test.spec, diff)
		}
	}
}

func TestPatches(t *testing.T) {
	t.Parallel()
	name, slug, prefix, status, bad := "after", "after", "acme", domain.Disabled, ""
	project := domain.Project{Name: "before", Slug: "before", KeyPrefix: "lk", Status: domain.Active, Revision: 1}
	organization := domain.Organization{Name: "before", Slug: "before", Status: domain.Active, Revision: 1}

	gotProject, err := domain.ProjectPatch{Name: &name, Slug: &slug, KeyPrefix: &prefix, Status: &status}.Apply(project)
	wantProject := domain.Project{Name: name, Slug: slug, KeyPrefix: prefix, Status: status, Revision: 1}
	if diff := cmp.Diff(wantProject, gotProject); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	gotOrganization, err := domain.OrganizationPatch{Name: &name, Slug: &slug, Status: &status}.Apply(organization)
	wantOrganization := domain.Organization{Name: name, Slug: slug, Status: status, Revision: 1}
	if diff := cmp.Diff(wantOrganization, gotOrganization); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}

	status = "gone"
	_, err = domain.ProjectPatch{Name: &bad, Slug: &bad, KeyPrefix: &bad, Status: &status}.Apply(project)
	if diff := cmp.Diff([]string{"/name", "/slug", "/status", "/key_prefix"}, fields(t, err)); diff != "" {
		t.Error(diff)
	}
	_, err = domain.OrganizationPatch{Name: &bad, Slug: &bad, Status: &status}.Apply(organization)
	if diff := cmp.Diff([]string{"/name", "/slug", "/status"}, fields(t, err)); diff != "" {
		t.Error(diff)
	}
}
