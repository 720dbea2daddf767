package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// attack is a name that controls a terminal, forges a line and changes the direction
// of writing, in every way that terminals support.
const attack = "\x1b[2J\r\nROOT usr_0\u009b31m\u202eevil\u2066\u200f\x7f\u2028\U000e0001<x>"

// TestTerminal guarantees that text from other people reaches an operator's terminal
// only as visible characters, in every command that prints rows or names, and that
// JSON is exact.
func TestTerminal(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database := filepath.Join(folder, "latchkey.db")
	run := func(input string, args ...string) (stdout, stderr string, err error) {
		t.Helper()
		var out, said bytes.Buffer
		root := newRoot()
		root.SetIn(strings.NewReader(input))
		root.SetOut(&out)
		root.SetErr(&said)
		root.SetArgs(append(args, "--database", "sqlite:"+database))
		err = root.ExecuteContext(t.Context())
		return out.String(), said.String(), err
	}
	must := func(input string, args ...string) string {
		t.Helper()
		out, said, err := run(input, args...)
		if err != nil {
			t.Fatalf("latchkey %s: %v\n%s", strings.Join(args, " "), err, said)
		}
		return strings.TrimSpace(out)
	}
	user := must("a quiet lighthouse keeper\n", "user", "create", "ada@example.com")
	organization := must("", "organization", "create", "Acme", "--owner", user)
	project := must("", "project", "create", "API", "--organization", organization)
	token := must("", "key", "create", "backend", "--project", project)
	must("", "plan", "create", "Pro", "--project", project)
	account := must("", "service-account", "create", "ci", "--organization", organization, "--role", "viewer")
	must("", "service-account", "token", "create", account, "--organization", organization, "--name", "ci")
	foul(t, database)

	printed := 0
	for _, c := range leaves(newRoot()) {
		args, ok := map[string][]string{
			"user list": {}, "user operator": {user}, "user disable": {user}, "user enable": {user},
			"organization list": {}, "organization suspend": {organization, "--reason", "unpaid"}, "organization resume": {organization},
			"service-account list":       {"--organization", organization},
			"service-account disable":    {account, "--organization", organization},
			"service-account token list": {account, "--organization", organization},
			"project list":               {"--organization", organization}, "plan list": {"--project", project},
			"credits list": {"--project", project},
			"key list":     {"--project", project}, "key verify": {}, "audit list": {}, "node list": {}, "migrate status": {},
		}[c]
		if !ok {
			if strings.HasSuffix(c, " list") {
				t.Errorf("%s prints rows and is not tried", c)
			}
			continue
		}
		out, said, err := run(token+"\n", slices.Concat(strings.Fields(c), args)...)
		if err != nil {
			t.Errorf("%s: %v", c, err)
		}
		if !strings.HasPrefix(c, "migrate") && !strings.Contains(out+said, `\u001b[2J`) {
			t.Errorf("%s does not show the name: %q, %q", c, out, said)
		}
		for line := range strings.Lines(out + said) {
			if line = strings.TrimSuffix(line, "\n"); strings.IndexFunc(line, hidden) >= 0 || strings.HasPrefix(line, "ROOT") {
				t.Errorf("%s prints %q", c, line)
			}
		}
		if strings.HasSuffix(c, " list") {
			out, _, err := run("", slices.Concat(strings.Fields(c), args, []string{"--json"})...)
			text := strings.ReplaceAll(out, "\n", "")
			if err != nil || strings.IndexFunc(text, hidden) >= 0 || strings.Contains(text, `\u003c`) {
				t.Errorf("%s --json prints %q (%v)", c, out, err)
			}
		}
		printed++
	}
	if printed < 14 {
		t.Errorf("%d commands were tried", printed)
	}

	var exact struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal([]byte(must("", "user", "list", "--json")), &exact); err != nil || exact.Name != attack {
		t.Errorf("JSON has the name %q (%v), want %q", exact.Name, err, attack)
	}
	_, _, err := run("", "project", "list", "--organization", attack)
	if text := visibleLines(explain(err)); strings.IndexFunc(strings.ReplaceAll(text, "\n", ""), hidden) >= 0 {
		t.Errorf("an error prints %q", text)
	}
}

// leaves are the commands that do something, such as "user list".
func leaves(cmd *cobra.Command) (paths []string) {
	for _, sub := range cmd.Commands() {
		paths = append(paths, leaves(sub)...)
	}
	if !cmd.HasSubCommands() {
		paths = append(paths, strings.TrimPrefix(cmd.CommandPath(), "latchkey "))
	}
	return paths
}

// foul stores the attack in every place for other people's text, past all checks.
func foul(t *testing.T, database string) {
	t.Helper()
	db, err := sql.Open("sqlite", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"UPDATE users SET name = $1, email = CASE kind WHEN 'person' THEN $1 ELSE email END",
		"UPDATE service_tokens SET name = $1, prefix = $1", "UPDATE organizations SET name = $1", "UPDATE projects SET name = $1",
		"UPDATE api_keys SET name = $1, prefix = $1", "UPDATE plans SET name = $1",
		"INSERT INTO audit_events (id, at, project_id, actor_kind, actor_id, actor_name, action, " +
			"target_kind, target_id, target_name, ip, " +
			"user_agent, request_id, changes) VALUES ('evt_0', 0, '', 'user', $1, $1, $1, $1, $1, $1, $1, $1, $1, '{}')",
		"INSERT INTO credit_entries (id, organization_id, project_id, owner_id, name, per, subject, kind, amount, reason, " +
			"created_at, actor_kind, actor_id, actor_name) " +
			"SELECT 'cre_0', organization_id, id, projects.id, $1, 'external_id', $1, 'grant', 1, $1, 0, 'user', $1, $1 FROM projects",
		"INSERT INTO counters (project_id, owner_id, type, name, per, subject, organization_id, " +
			"capacity, spent, leased, forfeited, leases) " +
			"SELECT id, projects.id, 'credits', $1, 'project', id, organization_id, 9, 0, 9, 0, 1 FROM projects",
		"INSERT INTO leases (node_id, project_id, owner_id, type, name, per, subject, number, period, granted, spent, at) " +
			"SELECT $1, id, projects.id, 'credits', $1, 'project', id, 1, 0, 9, 0, 0 FROM projects",
	} {
		if _, err := db.ExecContext(t.Context(), statement, attack); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// TestVisible guarantees that invalid text is shown as bytes, and that readable text
// stays.
func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Zoë 王 👩": "Zoë 王 👩", "a\tb": `a\u0009b`, "\xff\x9b1m": `\xff\x9b1m`, "\x00": `\u0000`, "\ufeff\U000e0001": `\ufeff\U000e0001`,
		"�": "�",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}

// TestOneWayToTheTerminal guarantees that no command bypasses the function that makes
// text visible.
func TestOneWayToTheTerminal(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || slices.Contains([]string{"output.go", "terminal.go", "doctor.go", "main.go"}, name) {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if strings.Contains(line, "fmt.Fprint") && strings.Contains(line, "ErrOrStderr()") {
				t.Errorf("%s:%d: use say", name, i+1)
			}
			if strings.Contains(line, "tabwriter.") {
				t.Errorf("%s:%d: use newTable", name, i+1)
			}
		}
	}
}
