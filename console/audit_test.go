package console

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Guarantees that the trail of accounts offers every action that it can hold.
func TestAccountActionsAreAll(t *testing.T) {
	t.Parallel()
	accounts := regexp.MustCompile(`"((?:session|user|account|signing_key|operator|instance|node)\.[a-z_]+)"`)
	want := append(recorded(t, accounts), "organization.deleted")
	slices.Sort(want)
	if got := slices.Sorted(slices.Values(accountActions)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Guarantees that the audit log offers every action that an organization's trail can
// hold, by the source that records them, and nothing else. An organization's own end
// is in no trail of its own.
func TestAuditActionsAreAll(t *testing.T) {
	t.Parallel()
	actions := regexp.MustCompile(`"((?:key|keys|webhook|plan|limit|credits|project|organization|member|invitation|` +
		`service_account|service_token)\.[a-z_]+)"`)
	want := slices.DeleteFunc(recorded(t, actions),
		func(action string) bool { return action == "organization.deleted" })
	if got := slices.Sorted(slices.Values(auditActions)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// recorded returns the actions that the service's source names, each once.
func recorded(t *testing.T, action *regexp.Regexp) (all []string) {
	t.Helper()
	files, err := filepath.Glob("../service/*.go")
	if err != nil {
		t.Fatal(err)
	}
	domain, err := filepath.Glob("../domain/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(files, domain...) {
		if matched, _ := filepath.Match("*_test.go", filepath.Base(name)); matched {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range action.FindAllStringSubmatch(string(source), -1) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
