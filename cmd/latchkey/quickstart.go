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
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/repository"
)

func newQuickstart() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "quickstart", Short: "Start the server and show the main job as curl commands, with real answers",
		Long: "Start the server on the configured database, make a user, an organization, a project and an API key through the HTTP API, and use " +
			"the key and the user's access token. Every step is printed as a curl command with its real answer. Then the server goes on.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd)
			if err != nil {
				return err
			}
			listener, err := listen(cmd.Context(), "LISTEN", s.Listen)
			if err != nil && !s.chosen["LISTEN"] {
				// Nobody chose the default address, and this has to work beside a server.
				listener, err = listen(cmd.Context(), "LISTEN", "127.0.0.1:0")
			}
			if err != nil {
				return err
			}
			// A log is for whoever runs a server; here the answers speak.
			srv, err := startServer(cmd.Context(), s, sockets{public: listener}, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			t := tour{out: cmd.OutOrStdout(), base: reachable(srv.address), settings: s}
			if err = t.run(cmd.Context()); err == nil && !once {
				fmt.Fprintf(cmd.OutOrStdout(), "\nThe server goes on at %s until you press Ctrl-C. Its data is in %s.\n", t.base, repository.Redact(s.Database))
				err = srv.wait(cmd.Context())
			}
			return errors.Join(err, srv.stop())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the last step")
	addSettingFlags(cmd)
	return cmd
}

// tour is a walk through the main job, as a client and a reader see it.
type tour struct {
	out      io.Writer
	base     string
	settings *settings
	steps    int
}

func (t *tour) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	var session struct {
		AccessToken string `json:"access_token"`
	}
	account := map[string]string{"email": "ada-" + strings.ToLower(rand.Text()[:8]) + "@example.com", "password": rand.Text(), "name": "Ada"}
	if err := t.step(ctx, "A person signs up.", "POST", "/v1/auth/signup", "", account, &session); err != nil {
		return err
	}
	if session.AccessToken == "" { // a mail is on its way, to an address that nobody reads
		return fmt.Errorf("with %sSMTP_URL an account has to be confirmed by mail, which Ada cannot do: leave the setting out for the quickstart", settingPrefix)
	}
	bearer := "Authorization: Bearer " + session.AccessToken

	var organization, project struct {
		ID string `json:"id"`
	}
	if err := t.step(ctx, "She makes an organization,", "POST", "/v1/organizations", bearer,
		map[string]string{"name": "Acme"}, &organization); err != nil {
		return err
	}
	if err := t.step(ctx, "a project in it,", "POST", "/v1/organizations/"+organization.ID+"/projects", bearer,
		map[string]string{"name": "Payments"}, &project); err != nil {
		return err
	}
	var created struct {
		Token string `json:"token"`
	}
	if err := t.step(ctx, "and an API key of the project. Its token is shown this once.", "POST", "/v1/projects/"+project.ID+"/keys", bearer,
		map[string]any{"name": "backend", "scopes": []string{"keys:verify"}}, &created); err != nil {
		return err
	}

	headers := []string{t.settings.APIKeyHeader + ": " + created.Token}
	if t.settings.APIKeyHeader == "" {
		headers = []string{"Authorization: " + t.settings.APIKeyKeyword + " " + created.Token, "X-Api-Key: " + created.Token}
	}
	says := "A third-party backend calls with the key, and the server knows the project from it."
	for _, header := range headers {
		if err := t.step(ctx, says, "GET", "/v1/project", header, nil, nil); err != nil {
			return err
		}
		says = "The same, with the other header."
	}
	if err := t.step(ctx, "The person reaches the same project with her access token.", "GET", "/v1/projects/"+project.ID, bearer, nil, nil); err != nil {
		return err
	}
	return t.step(ctx, "Your own service, with a key that holds keys:verify, asks whether a key it was sent is good.",
		"POST", "/v1/keys/verify", headers[0], map[string]string{"key": created.Token}, nil)
}

// reachable is the address of a server on this machine; one that listens
// everywhere is called by name, since everywhere is no place to call.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip, parseErr := netip.ParseAddr(host); err == nil && parseErr == nil && ip.IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	return "http://" + address
}

// step makes one call and prints it as a curl command with its answer, which it
// reads into result unless that is nil.
func (t *tour) step(ctx context.Context, says, method, path, header string, body, result any) error {
	t.steps++
	curl := "curl -sS " + t.base + path
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(text)
		curl += " -H 'Content-Type: application/json' -d '" + string(text) + "'"
	}
	req, err := http.NewRequestWithContext(ctx, method, t.base+path, sent)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		req.Header.Set(name, value)
		curl += " -H '" + header + "'"
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
	fmt.Fprintf(t.out, "%s\n%s\n", res.Status, strings.TrimSpace(pretty.String()))
	if res.StatusCode >= http.StatusBadRequest {
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(text, &problem) // what cannot be read has no detail
		return fmt.Errorf("step %d of the quickstart was refused: %s", t.steps, cmp.Or(problem.Detail, res.Status))
	}
	if result == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, result)
}
