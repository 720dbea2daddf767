package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

// newProjectTokens is about the access tokens that a project issues for its keys.
func newProjectTokens() *cobra.Command {
	var audience string
	var life time.Duration
	var endAll bool
	cmd := databaseCommand(&cobra.Command{
		Use: "tokens ID|ORGANIZATION/SLUG", Short: "Say whom the access tokens of keys are for, how long they live, or end them",
		Example: "  latchkey project tokens acme/payments --audience https://api.example.com --life 2m",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.project(ctx, args[0])
		if err != nil {
			return notFound(err, "project", args[0])
		}
		project, err := handle.Get()
		if err != nil {
			return err
		}
		patch := domain.ProjectPatch{}
		if cmd.Flags().Changed("audience") {
			patch.Audience = &audience
		}
		if cmd.Flags().Changed("life") {
			patch.TokenTTL = new(domain.Seconds(life))
		}
		if endAll {
			patch.TokenEpoch = new(project.TokenEpoch + 1)
		}
		if patch == (domain.ProjectPatch{}) {
			return usage("one of --audience, --life and --end-all is required")
		}
		if project, err = handle.Update(ctx, patch); err != nil {
			return err
		}
		if endAll {
			say(cmd, "All access tokens of %s are refused once their verifiers read its key set again.", project.Name)
		}
		return answer(cmd, projectJSON(project), string(project.ID),
			"Access tokens of %s live for %d seconds.", project.Name, project.TokenTTL)
	})
	flags := cmd.Flags()
	flags.StringVar(&audience, "audience", "", "address of the API that the tokens are for; empty: the issuer")
	flags.DurationVar(&life, "life", 0, "how long a token lives: 1m to 1h")
	flags.BoolVar(&endAll, "end-all", false, "end every access token that the project has issued")
	return cmd
}
