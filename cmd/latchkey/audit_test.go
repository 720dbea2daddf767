package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// auditedCommands are the commands that change something, in an order that works,
// with the one event that each leaves. $NAME is what an earlier command of that name
// printed.
var auditedCommands = []struct{ command, printed, event string }{
	{"user create ada@example.com", "USER", "user.created user:ada@example.com"},
	{"user create bob@example.com", "BOB", "user.created user:bob@example.com"},
	{"organization create Acme --owner $USER", "ORGANIZATION", "organization.created organization:Acme"},
	{"project create API --organization $ORGANIZATION", "PROJECT", "project.created project:API"},
	{"plan create Pro --project $PROJECT", "PLAN", "plan.created plan:Pro"},
	{"plan update $PLAN --name Max", "", "plan.updated plan:Max"},
	{"plan delete $PLAN", "", "plan.deleted plan:Max"},
	{`plan create Free --project $PROJECT --limits [{"name":"requests","type":"rate","limit":5,"period":"day"},` +
		`{"name":"credits","type":"credits"}]`,
		"FREE", "plan.created plan:Free"},
	{"key create backend --project $PROJECT --plan $FREE", "TOKEN", "key.created key:backend"},
	{"key rotate $KEY", "", "key.rotated key:backend"},
	{"limit reset $KEY --name requests", "", "limit.reset key:backend"},
	{"credits grant --project $PROJECT --limit credits --key $KEY --amount 5", "ENTRY", "credits.granted key:backend"},
	{"key import $FILE --project $PROJECT --algorithm sha256-hex", "", "keys.imported project:API"},
	{"key revoke $KEY", "", "key.revoked key:backend"},
	{"key delete $KEY", "", "key.deleted key:backend"},
	{"key create leaver --project $PROJECT --external-id initech", "", "key.created key:leaver"},
	{"key revoke-all --project $PROJECT --external-id initech", "", "key.revoked key:leaver"},
	{"project disable $PROJECT", "", "project.updated project:API"},
	{"project enable $PROJECT", "", "project.updated project:API"},
	{"project tokens $PROJECT --life 2m", "", "project.updated project:API"},
	{"project suspend $PROJECT --reason unpaid", "", "project.suspended project:API"},
	{"project resume $PROJECT", "", "project.resumed project:API"},
	{"organization disable $ORGANIZATION", "", "organization.updated organization:Acme"},
	{"organization enable $ORGANIZATION", "", "organization.updated organization:Acme"},
	{"organization suspend $ORGANIZATION --reason unpaid", "", "organization.suspended organization:Acme"},
	{"organization resume $ORGANIZATION", "", "organization.resumed organization:Acme"},
	{"service-account create ci --organization $ORGANIZATION --role admin", "ACCOUNT", "service_account.created service_account:ci"},
	{"service-account token create $ACCOUNT --organization $ORGANIZATION --name a", "SERVICE", "service_token.created service_token:a"},
	{"service-account token delete $ACCOUNT $SERVICE --organization $ORGANIZATION", "", "service_token.deleted service_token:a"},
	{"service-account disable $ACCOUNT --organization $ORGANIZATION", "", "service_account.updated service_account:ci"},
	{"service-account enable $ACCOUNT --organization $ORGANIZATION", "", "service_account.updated service_account:ci"},
	{"service-account delete $ACCOUNT --organization $ORGANIZATION", "", "service_account.deleted service_account:ci"},
	{"user operator $USER", "", "user.updated user:ada@example.com"},
	{"user reset-password $USER", "", "user.reset_link_created user:ada@example.com"},
	{"user disable $BOB", "", "user.updated user:bob@example.com"},
	{"user enable $BOB", "", "user.updated user:bob@example.com"},
	{"jwt rotate", "", "signing_key.rotated signing_key:$SIGNING"},
}

// silentCommands change nothing that the audit trail is about.
var silentCommands = []string{
	"audit list", "backup", "credits list", "doctor", "key count", "key list", "key show", "key verify", "migrate status", "openapi",
	"edge echo", "edge test",
	"organization list", "limit show", "node list", "plan list", "plan rehearse", "plan show", "project list", "routes",
	"scanner-rules", "service-account list", "service-account token list", "usage", "user list", "version",
}

// untriedCommands are not tried here: a server, changes of the schema, or what needs a
// node that was killed.
var untriedCommands = []string{"credits refund", "node forget", "serve", "quickstart", "migrate up", "migrate down", "migrate redo"}

// listedEvent and listedKey are what the test reads of JSON output.
type (
	listedEvent struct {
		ID     string      `json:"id"`
		Action string      `json:"action"`
		Actor  listedActor `json:"actor"`
		Target listedActor `json:"target"`
	}
	listedActor struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	}
	listedKey struct {
		ID string `json:"id"`
	}
)

// TestOneEventForEachCommand guarantees that each command that changes something
// leaves one event, by the system, with its target, and that no other leaves any.
func TestOneEventForEachCommand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "keys.csv")
	rows := fmt.Sprintf("name,hash\nelsewhere,%x\n", sha256.Sum256([]byte("opaque")))
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{"FILE": file}
	run := func(command string) string {
		t.Helper()
		text := command
		for name, value := range known {
			text = strings.ReplaceAll(text, "$"+name, value)
		}
		var out, said bytes.Buffer
		root := newRoot()
		root.SetIn(strings.NewReader("a quiet lighthouse keeper\n"))
		root.SetOut(&out)
		root.SetErr(&said)
		root.SetArgs(append(strings.Fields(text), "--database", "sqlite:"+filepath.Join(folder, "latchkey.db")))
		if err := root.ExecuteContext(t.Context()); err != nil && command != "key verify" { // the password is no key
			t.Fatalf("latchkey %s: %v\n%s", text, err, said.String())
		}
		return strings.TrimSpace(out.String())
	}
	seen := map[string]bool{}
	fresh := func() (events []string) {
		for line := range strings.Lines(run("audit list --json")) {
			var e listedEvent
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if !seen[e.ID] {
				seen[e.ID] = true
				events = append(events, e.Action+" "+e.Target.Kind+":"+e.Target.Name)
				if e.Actor.Kind != "system" {
					t.Errorf("%s is by %v, want the system", e.Action, e.Actor)
				}
			}
		}
		return events
	}
	tried := map[string]bool{}
	for _, c := range auditedCommands {
		printed := run(c.command)
		if c.printed != "" {
			known[c.printed] = printed
		}
		if c.printed == "TOKEN" {
			var key listedKey
			if err := json.Unmarshal([]byte(run("key list --project $PROJECT --json")), &key); err != nil {
				t.Fatal(err)
			}
			known["KEY"] = key.ID
		}
		tried[path(c.command)] = true
		want := strings.ReplaceAll(c.event, "$SIGNING", printed)
		if got := fresh(); !slices.Equal(got, []string{want}) {
			t.Errorf("latchkey %s: got the events %q, want %q", c.command, got, want)
		}
	}
	run("key create other --project $PROJECT")
	known["PLAN"] = run("plan create Other --project $PROJECT")
	known["ACCOUNT"] = run("service-account create other --organization $ORGANIZATION --role viewer")
	fresh()
	var key listedKey
	if err := json.Unmarshal([]byte(run("key list --project $PROJECT --search other --json")), &key); err != nil {
		t.Fatal(err)
	}
	known["KEY"] = key.ID
	for _, command := range silentCommands {
		tried[command] = true
		args := map[string]string{"backup": " " + filepath.Join(folder, "copy.db"), "key list": " --project $PROJECT",
			"key show": " $KEY", "limit show": " $KEY", "credits list": " --project $PROJECT",
			"usage": " --project $PROJECT", "plan list": " --project $PROJECT", "plan show": " $PLAN",
			"project list": " --organization $ORGANIZATION", "service-account list": " --organization $ORGANIZATION",
			"service-account token list": " $ACCOUNT --organization $ORGANIZATION",
			"plan rehearse":              " --project $PROJECT --limits []"}[command]
		if slices.Contains([]string{"edge echo", "edge test", "openapi", "routes", "scanner-rules", "version"}, command) {
			continue // they open no database
		}
		if run(command + args); len(fresh()) > 0 {
			t.Errorf("latchkey %s left an event", command)
		}
	}
	for _, command := range leaves(newRoot()) {
		if !tried[command] && !slices.Contains(untriedCommands, command) {
			t.Errorf("latchkey %s is in no list", command)
		}
	}
}

// path is the path of a command with arguments.
func path(command string) string {
	cmd, _, err := newRoot().Find(strings.Fields(command))
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(cmd.CommandPath(), "latchkey ")
}
