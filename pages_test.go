package latchkey_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that the pages about security are complete and correct: every derived
// key, every table of the schema and every action of the audit trail is on its page
// once, and nothing else is.
func TestPagesListWhatThereIs(t *testing.T) {
	t.Parallel()
	for page, source := range map[string]struct {
		files string
		find  string // the first group is the name in a row's first cell
		row   string
	}{
		"docs/keys.md": {"service/*.go", `derive\("([a-z-]+)"\)`, "(?m)^\\| `([a-z-]+)` \\|"},
		"docs/data.md": {"migrations/*.sql", `(?m)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`, "(?m)^\\| `(\\w+)` \\|"},
		"docs/operations.md": {
			files: "deploy/prometheus/rules.yaml",
			find:  `- alert: (\w+)`,
			row:   "(?m)^\\| `(Latchkey\\w+)` \\|",
		},
		"docs/logging.md": {
			files: "[ds][eo]*/*.go", // service and domain
			find:  `"((?:` + auditTargets + `)\.[a-z_]+)"`,
			row:   "(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|",
		},
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			inCode := map[string]bool{}
			files, err := filepath.Glob(source.files)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !strings.HasSuffix(file, "_test.go") {
					for _, name := range found(t, file, source.find) {
						inCode[name] = true
					}
				}
			}
			listed := found(t, page, source.row)
			slices.Sort(listed)
			if want := slices.Sorted(maps.Keys(inCode)); !slices.Equal(listed, want) {
				t.Errorf("%s lists %v, the code has %v", page, without(listed, want), without(want, listed))
			}
		})
	}
}

// Guarantees that the page on people says how long the list of common passwords is.
func TestPeoplePageCountsPasswords(t *testing.T) {
	t.Parallel()
	list := found(t, "domain/passwords.txt", `(?m)^(.+)$`)
	want := fmt.Sprintf("%d,%03d", len(list)/1000, len(list)%1000)
	if counts := found(t, "docs/people.md", `list of ([0-9,]+) words`); !slices.Equal(counts, []string{want}) {
		t.Errorf("docs/people.md says %q, the list has %d lines", counts, len(list))
	}
}

// auditTargets are the kinds of resource that actions of the audit trail are about.
const auditTargets = "organization|project|plan|limit|credits|key|keys|webhook|" +
	"member|invitation|user|account|session|sessions|signing_key|" +
	"operator|instance|node|service_account|service_token"

// found returns the first group of every match in a file.
func found(t *testing.T, file, expression string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
		names = append(names, match[1])
	}
	return names
}

func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(others, s) })
}

// Guarantees that docs/authorization.md lists, for every action, the roles that
// hold it and whether a key may hold it.
func TestAuthorizationPageIsTheRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/authorization.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	constants := found(t, "domain/action.go", `Action = "([a-z_]+:[a-z_]+)"`)
	for _, action := range constants {
		cells := []string{"`" + action + "`"}
		for _, role := range domain.Roles {
			cells = append(cells, yesOrNo(role.Holds(domain.Action(action))))
		}
		cells = append(cells, yesOrNo(slices.Contains(domain.KeyScopes, domain.Action(action))))
		want = append(want, "| "+strings.Join(cells, " | ")+" |")
	}
	got := regexp.MustCompile("(?m)^\\| `[a-z_]+:[a-z_]+`.*$").FindAllString(string(text), -1)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("docs/authorization.md lacks\n%s\nand wrongly has\n%s",
			strings.Join(without(want, got), "\n"), strings.Join(without(got, want), "\n"))
	}
	for _, resource := range found(t, "domain/action.go", `(?m)^\t"(\w+)",`) {
		if !strings.Contains(string(text), "`"+resource+"`") {
			t.Errorf("docs/authorization.md does not list the reserved resource %s", resource)
		}
	}
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Guarantees that the target of every link within the repository exists, headings
// included, and that the README leads to every page of docs.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{}
	for _, page := range append(pages, docs...) {
		for _, target := range found(t, page, `\]\(([^)\s]+)\)`) {
			if strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			file := page
			if path != "" {
				file = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: there is no %s", page, target)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, file), anchor) {
				t.Errorf("%s: %s has no part %s", page, file, anchor)
			}
			linked[page+" "+file] = true
		}
	}
	for _, page := range append(docs, "SECURITY.md") {
		if !linked["README.md "+page] {
			t.Errorf("README.md does not lead to %s", page)
		}
	}
}

// anchors returns the headings of a page in the form that links use, as on the
// sites that host repositories.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	for _, heading := range found(t, page, `(?m)^#+ (.*)$`) {
		name := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
