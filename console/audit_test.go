package console

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// Guarantees that the audit log offers every action that an organization's trail can
// hold, by the source that records them, and nothing else. An organization's own end
// is in no trail of its own.
func TestAuditActionsAreAll(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../service/*.go")
	if err != nil {
		t.Fatal(err)
	}
	action := regexp.MustCompile(`"((?:key|keys|project|organization|member|invitation)\.[a-z_]+)"`)
	var want []string
	for _, name := range files {
		if matched, _ := filepath.Match("*_test.go", filepath.Base(name)); matched {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range action.FindAllStringSubmatch(string(source), -1) {
			if m[1] != "organization.deleted" {
				want = append(want, m[1])
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := slices.Sorted(slices.Values(auditActions)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
