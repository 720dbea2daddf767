package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/latchkey-dev/latchkey/client"
)

// block is a fenced block of README.md.
type block struct{ heading, language, text string }

var fence = regexp.MustCompile("(?ms)^## (.*?)$|^```(\\w+)\n(.*?)^```$")

func readmeBlocks() ([]block, error) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		return nil, err
	}
	var blocks []block
	heading := ""
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			heading = m[1]
			continue
		}
		blocks = append(blocks, block{heading, m[2], m[3]})
	}
	return blocks, nil
}

var assignment = regexp.MustCompile(`(?m)^(?:export )?([A-Z_]+)=`)

// readme runs the shell lines of a section of README.md as they are printed, or
// only its nth block of them. Variables live until the script ends. The address
// 127.0.0.1:8080 of README.md is the server of the script: curl's configuration
// maps it, not its arguments.
func readme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: readme HEADING [BLOCK]")
	}
	blocks, err := readmeBlocks()
	ts.Check(err)
	var lines, names []string
	n := 0
	for _, b := range blocks {
		if b.language != "sh" {
			continue
		}
		for _, m := range assignment.FindAllStringSubmatch(b.text, -1) {
			names = append(names, m[1])
		}
		if b.heading != args[0] {
			continue
		}
		if n++; len(args) == 1 || args[1] == fmt.Sprint(n) {
			lines = append(lines, b.text)
		}
	}
	if len(lines) == 0 {
		ts.Fatalf("README.md has no such lines under %q", args[0])
	}
	curlrc := fmt.Sprintf("connect-to = \"127.0.0.1:8080:%s\"\nfail-with-body\n", ts.Getenv("ADDRESS"))
	ts.Check(os.WriteFile(ts.MkAbs(".curlrc"), []byte(curlrc), 0o600))
	ts.Setenv("CURL_HOME", ts.MkAbs("."))
	script := "set -euo pipefail\n[ ! -f variables ] || . ./variables\n" + strings.Join(lines, "\n") +
		"\nset | grep -E '^(" + strings.Join(names, "|") + ")=' > variables\n"
	ts.Check(ts.Exec("bash", "-c", script))
	saved, err := os.ReadFile(ts.MkAbs("variables"))
	ts.Check(err)
	for line := range strings.Lines(string(saved)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		ts.Setenv(name, value)
	}
}

// goclient makes the same calls as README.md with the client that is generated
// from openapi.yaml.
func goclient(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := ts.Value(contextKey{}).(context.Context)
	url := "http://" + ts.Getenv("ADDRESS")
	for _, header := range []string{"X-Api-Key", "Authorization"} {
		token := ts.Getenv("LATCHKEY_API_KEY")
		if header == "Authorization" {
			token = "Api-Key " + token
		}
		backend, err := client.New(url, client.APIKeyIn(header, token))
		ts.Check(err)
		current, err := backend.GetCurrentProjectWithResponse(ctx)
		ts.Check(err)
		if got, want := current.JSON200.ID, ts.Getenv("PROJECT"); got != want {
			ts.Fatalf("%s: the key's project is %s, want %s", header, got, want)
		}
		answer, err := backend.VerifyKeyWithResponse(ctx, client.VerifyKeyRequest{Key: ts.Getenv("LATCHKEY_API_KEY")})
		ts.Check(err)
		if !answer.JSON200.Valid {
			ts.Fatalf("%s: the key is %s", header, answer.JSON200.Code)
		}
	}
	person, err := client.New(url, client.Password("ada@example.com", "a quiet lighthouse keeper"))
	ts.Check(err)
	project, err := person.GetProjectWithResponse(ctx, ts.Getenv("PROJECT"))
	ts.Check(err)
	if project.StatusCode() != http.StatusOK || project.JSON200.Name != "Payments" {
		ts.Fatalf("the person gets %s", project.Status())
	}
}
