package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Read the audit trail of the whole instance"}
	cmd.AddCommand(newAuditList())
	return cmd
}

func newAuditList() *cobra.Command {
	var f domain.EventFilter
	cmd := databaseCommand(&cobra.Command{
		Use: "list", Short: "List audit events, newest first, including those about accounts",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		return printList(cmd, func(p domain.Page) (domain.List[domain.Event], error) { return op.ListEvents(ctx, op.caller, f, p) },
			eventJSON, "AT ACTION TARGET ACTOR", func(e domain.Event) []string {
				return []string{date(e.At), e.Action, e.Target.ID, e.Actor.ID}
			})
	})
	cmd.Flags().StringVar(&f.Action, "action", "", "only events of this kind, such as key.revoked")
	cmd.Flags().StringVar(&f.Actor, "actor", "", "only what this user or key did, by id, name or email address")
	cmd.Flags().StringVar(&f.Target, "target", "", "only what was done to this, by id or name")
	return cmd
}
