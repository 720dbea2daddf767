package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/edge"
)

func newEdge() *cobra.Command {
	cmd := &cobra.Command{Use: "edge", Short: "Attack the proxy in front of your API"}
	cmd.AddCommand(newEdgeEcho(), newEdgeTest())
	return cmd
}

func newEdgeEcho() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "echo",
		Short: "Answer with what reaches the API, for edge test",
		Long: "Answer every request with what has arrived: method, target and headers. Put it in the place of your API, " +
			"behind the proxy. Access tokens are shown, keys are not.",
		Example: "  latchkey edge echo --listen 127.0.0.1:8081",
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := listen(cmd.Context(), "LISTEN", address)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			server := &http.Server{Handler: edge.Echo(), ReadHeaderTimeout: readHeaderTimeout}
			context.AfterFunc(ctx, func() { _ = server.Close() }) // nothing is in it that has to end
			say(cmd, "Listening on %s", listener.Addr())
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8081", "address and port, or unix:PATH")
	return cmd
}

func newEdgeTest() *cobra.Command {
	test := edge.Test{}
	keys := map[string]*string{
		"key-env":          &test.Key,
		"other-key-env":    &test.OtherKey,
		"no-scope-key-env": &test.NoScopeKey,
		"revoke-key-env":   &test.RevokeKey,
	}
	cmd := &cobra.Command{
		Use:   "test URL",
		Short: "Send attacks through the proxy to latchkey edge echo, and print each hole",
		Long: "Send attacks through the proxy to latchkey edge echo, and print a line for each. The exit status is 1 if there is " +
			"a hole, or if a good request does not reach the API as it should. URL is a route behind the proxy whose keys need a " +
			"scope, and that is served by the echo. Keys are read from environment variables. With --stopped, stop Latchkey " +
			"first: it tries that nothing passes then.",
		Example: "  latchkey edge test https://api.example.com/documents/echo --key-env KEY \\\n" +
			"    --issuer https://keys.example.com/v1/projects/prj_01k00000000000000000000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if test.URL, err = url.Parse(args[0]); err != nil || test.URL.Host == "" || test.URL.Path == "" ||
				test.URL.Scheme != "http" && test.URL.Scheme != "https" {
				return usage("URL must be an address such as https://api.example.com/documents/echo")
			}
			for flag, key := range keys {
				name, _ := cmd.Flags().GetString(flag)
				if *key = os.Getenv(name); *key == "" && name != "" {
					return usage("--%s names an environment variable that is empty", flag)
				}
			}
			if test.Key == "" || test.Issuer == "" && !test.Stopped {
				return usage("--key-env and --issuer are required")
			}
			return runEdgeTest(cmd, &test)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&test.Issuer, "issuer", "", "address of the project at Latchkey, which issues the access tokens")
	flags.BoolVar(&test.Stopped, "stopped", false, "Latchkey is stopped now: try that nothing passes")
	flags.String("key-env", "", "variable with a good key, which holds what the route needs")
	flags.String("other-key-env", "", "variable with a good key of another project")
	flags.String("no-scope-key-env", "", "variable with a key of the project that lacks what the route needs")
	flags.String("revoke-key-env", "", "variable with a key that also holds keys:write: the test revokes it")
	addOutputFlag(cmd)
	return cmd
}

// errHoles ends edge test after it has printed the holes.
var errHoles = errors.New("the proxy is not safe")

// runEdgeTest runs the test and prints its results.
func runEdgeTest(cmd *cobra.Command, test *edge.Test) error {
	counts := map[edge.Verdict]int{}
	var failed error
	err := test.Run(cmd.Context(), func(r edge.Result) {
		counts[r.Verdict]++
		var err error
		if wantsJSON(cmd) {
			err = printJSON(cmd, map[string]any{"name": r.Name, "verdict": r.Verdict, "why": r.Why})
		} else {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%-9s  %s: %s\n", r.Verdict, visible(r.Name), visible(r.Why))
		}
		failed = errors.Join(failed, err)
	})
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	say(cmd, "%d holes, %d broken, %d ok, %d not tried.",
		counts[edge.Hole], counts[edge.Broken], counts[edge.Safe], counts[edge.Untried])
	if counts[edge.Hole]+counts[edge.Broken] > 0 {
		return errHoles
	}
	return nil
}
