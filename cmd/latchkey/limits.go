package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newLimit() *cobra.Command {
	cmd := &cobra.Command{Use: "limit", Short: "Show and reset the limits that hold for a key"}
	cmd.AddCommand(newLimitShow(), newLimitReset())
	return cmd
}

func newLimitShow() *cobra.Command {
	return onKey(&cobra.Command{
		Use: "show KEY", Short: "Show the limits that hold for a key and where they come from; how much is used, only servers know",
	}, func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
		held, err := p.KeyLimits(ctx, id)
		if err != nil {
			return err
		}
		return printJSON(cmd, heldLimitsJSON(held.Limits.Limits))
	})
}

func newLimitReset() *cobra.Command {
	var name, reason string
	cmd := onKey(&cobra.Command{
		Use: "reset KEY", Short: "Make a limit that holds for a key as good as new, on all servers",
		Example: "  latchkey limit reset key_01k0… --name requests --reason 'a load test'",
	}, func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
		held, err := p.ResetLimit(ctx, id, name, reason)
		if err != nil {
			return notFound(err, "limit", name)
		}
		return answer(cmd, heldLimitsJSON(held.Limits.Limits), name, "The limit %s is reset.", name)
	})
	cmd.Flags().StringVar(&name, "name", "", "the name of the limit")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit trail")
	required(cmd, "name")
	return cmd
}
