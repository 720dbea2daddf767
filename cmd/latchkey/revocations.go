package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func newKeysRevoke() *cobra.Command {
	var project, reason string
	var selection domain.KeySelection
	var dryRun bool
	cmd := databaseCommand(&cobra.Command{
		Use: "revoke-all", Short: "End all keys of a customer, of a creator or with a scope permanently",
		Example: "  latchkey key revoke-all --project acme/payments --external-id customer-4711 --dry-run",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		table, count := newTable(cmd), 0
		for more := true; more; {
			done, err := handle.RevokeKeys(ctx, selection, reason, dryRun)
			for _, key := range done.Keys {
				count++
				if !wantsJSON(cmd) {
					table.row(string(key.ID), key.Name, key.Prefix, key.ExternalID)
				} else if err := printJSON(cmd, keyJSON(key)); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			more = done.More && !dryRun
		}
		if dryRun {
			say(cmd, "%d keys would be revoked. Without --dry-run they are.", count)
		} else {
			say(cmd, "%d keys are revoked.", count)
		}
		return table.Flush()
	})
	flags := cmd.Flags()
	flags.StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	flags.StringVar(&selection.ExternalID, "external-id", "", "of keys with this external id")
	flags.StringVar(&selection.CreatedBy, "created-by", "", "of keys that this user, key or system has created, by its id")
	flags.StringVar((*string)(&selection.Scope), "scope", "", "of keys that hold this scope")
	flags.StringVar(&reason, "reason", "", "why, shown with the keys")
	flags.BoolVar(&dryRun, "dry-run", false, "only list the keys")
	required(cmd, "project")
	return cmd
}
