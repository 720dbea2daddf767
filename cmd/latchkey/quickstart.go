package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

func newQuickstart() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "quickstart", Short: "Start the server and show the main job as curl commands, with real answers",
		Long: "Start the server on the configured database and create an account. With it, create an organization, a project and an " +
			"API key through the HTTP API; then use the key and the account's access token. Every step is printed as a curl command " +
			"with its real answer. The server keeps running, and the last lines say how to sign in. The account is not the " +
			"operator's: the first person to sign up is.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			listener, err := listen(cmd.Context(), "LISTEN", s.Listen)
			if err != nil && !s.chosen["LISTEN"] {
				// The default address may be in use by a server: take a free port.
				listener, err = listen(cmd.Context(), "LISTEN", "127.0.0.1:0")
			}
			if err != nil {
				return err
			}
			if !s.chosen["JOURNAL"] {
				s.Journal = noJournal // a second file would distract, too
			}
			// The reader follows the answers; a log would distract.
			srv, err := startServer(cmd.Context(), s, sockets{public: listener}, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			t := tour{out: cmd.OutOrStdout(), base: reachable(srv.address), settings: s, app: srv.app}
			if err = t.run(cmd.Context()); err == nil && !once {
				fmt.Fprintf(t.out, "\nThe server runs until you press Ctrl-C. Its data is in %s.\n", repository.Redact(s.Database))
				err = srv.wait(cmd.Context())
			}
			return errors.Join(err, srv.stop())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the last step")
	addSettingFlags(cmd)
	return cmd
}

// tour runs the main job step by step and prints it for the reader.
type tour struct {
	out       io.Writer
	base      string
	settings  *settings
	app       *service.App
	steps     int
	variables []variable // names for the values that are too long to read
}

type variable struct{ name, value string }

func (t *tour) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The account is created here and not by a sign-up: the first person who signs up
	// becomes the operator, and must be a real person.
	email, password := "ada-"+strings.ToLower(rand.Text()[:8])+"@example.com", rand.Text()
	ada := domain.SignUp{Email: email, Password: domain.Hidden(password), Name: "Ada"}
	if _, err := t.app.CreateGuest(ctx, domain.System(), ada); err != nil {
		return fmt.Errorf("make an account: %s", explain(err))
	}
	var session struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"` // seconds
	}
	err := t.step(ctx, "Ada, who has just been given an account, signs in.", "POST", "/v1/auth/login", "",
		map[string]string{"email": email, "password": password}, &session)
	if err != nil {
		return err
	}
	if err := t.work(ctx, "Authorization: Bearer "+t.name("JWT", session.AccessToken)); err != nil {
		return err
	}
	lifetime := time.Duration(session.ExpiresIn) * time.Second
	fmt.Fprintf(t.out, "\n# To repeat these steps in a shell (the access token lives for %v):\n", lifetime)
	for _, v := range t.variables {
		fmt.Fprintf(t.out, "export %s='%s'\n", v.name, v.value)
	}
	fmt.Fprintf(t.out, "\n# In the browser: %s/console\n# Sign in as %s with the password %s\n", t.base, email, password)
	policy, first, err := t.app.Signup(ctx)
	if err == nil && first && policy == service.SignupOpen {
		fmt.Fprint(t.out, "# or sign up: the first person who does becomes the operator of this instance.\n")
	}
	return err
}

// work creates a key and uses it. The header proves the person.
func (t *tour) work(ctx context.Context, bearer string) error {
	var organization, project struct {
		ID string `json:"id"`
	}
	if err := t.step(ctx, "She makes an organization,", "POST", "/v1/organizations", bearer,
		map[string]string{"name": "Acme"}, &organization); err != nil {
		return err
	}
	if err := t.step(ctx, "a project in it,", "POST", "/v1/organizations/"+t.name("ORGANIZATION", organization.ID)+"/projects", bearer,
		map[string]string{"name": "Payments"}, &project); err != nil {
		return err
	}
	var created struct {
		Token string `json:"token"`
	}
	inProject := "/v1/projects/" + t.name("PROJECT", project.ID)
	if err := t.step(ctx, "and an API key of the project. Its token is shown this once.", "POST", inProject+"/keys", bearer,
		map[string]any{"name": "backend", "scopes": []string{"keys:verify"}}, &created); err != nil {
		return err
	}

	key := t.name("KEY", created.Token)
	headers := []string{t.settings.APIKeyHeader + ": " + key}
	if t.settings.APIKeyHeader == "" {
		headers = []string{"Authorization: " + t.settings.APIKeyKeyword + " " + key, "X-Api-Key: " + key}
	}
	says := "A third-party backend calls with the key, and the server knows the project from it."
	for _, header := range headers {
		if err := t.step(ctx, says, "GET", "/v1/project", header, nil, nil); err != nil {
			return err
		}
		says = "The same, with the other header."
	}
	if err := t.step(ctx, "Ada reaches the same project with her access token.", "GET", inProject, bearer, nil, nil); err != nil {
		return err
	}
	return t.step(ctx, "Your own service, with a key that holds keys:verify, asks whether a key it was sent is good.",
		"POST", "/v1/keys/verify", headers[0], map[string]string{"key": key}, nil)
}

// name keeps a value and returns the variable that commands use for it.
func (t *tour) name(name, value string) string {
	t.variables = append(t.variables, variable{name, value})
	return "$" + name
}

// expand replaces variables by their values, as a shell does.
func (t *tour) expand(text string) string {
	for _, v := range t.variables {
		text = strings.ReplaceAll(text, "$"+v.name, v.value)
	}
	return text
}

// shorten shows only as much of an access token as identifies it.
func shorten(text string) string {
	return accessToken.ReplaceAllString(text, "$1…")
}

var accessToken = regexp.MustCompile(`(eyJ[0-9A-Za-z_-]{12})[0-9A-Za-z_.-]{40,}`)

// reachable returns the address of a server on this machine. A server that listens
// on all addresses is called localhost, because no one can call "all addresses".
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip, parseErr := netip.ParseAddr(host); err == nil && parseErr == nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	return "http://" + address
}

// step makes one call and prints it as a curl command with its answer. It decodes
// the answer into result unless result is nil.
func (t *tour) step(ctx context.Context, says, method, path, header string, body, result any) error {
	t.steps++
	curl := "curl -sS " + t.base + path
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = strings.NewReader(t.expand(string(text)))
		curl += " -H 'Content-Type: application/json' -d " + quoted(string(text))
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base+t.expand(path), sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, t.expand(value))
		curl += " -H " + quoted(header)
	}
	fmt.Fprintf(t.out, "\n# %d. %s\n%s\n", t.steps, says, curl)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "", "  ") != nil {
		pretty = *bytes.NewBuffer(text)
	}
	fmt.Fprintf(t.out, "%s\n%s\n", res.Status, shorten(strings.TrimSpace(pretty.String())))
	if res.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(text, &problem) // an answer that is not JSON has no detail
		return fmt.Errorf("step %d of the quickstart was refused: %s", t.steps, cmp.Or(problem.Detail, res.Status))
	}
	if result == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, result)
}

// quoted quotes text for a shell, with its variables expanded if it has any.
func quoted(text string) string {
	if strings.Contains(text, "$") {
		return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
	}
	return "'" + text + "'"
}
