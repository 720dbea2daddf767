package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func newCredits() *cobra.Command {
	cmd := &cobra.Command{Use: "credits", Short: "Grant and refund credits, and list what has changed them"}
	cmd.AddCommand(newCreditsGrant(), newCreditsRefund(), newCreditsList())
	return cmd
}

func newCreditsGrant() *cobra.Command {
	cmd := newCreditsChange(&cobra.Command{
		Use: "grant", Short: "Add to credits, or take back with a negative amount what is available of them",
		Example: "  latchkey credits grant --project acme/payments --limit credits --external-id customer-4711 --amount 500 " +
			"--reason 'invoice 2026-118'",
	}, domain.CreditGrant{})
	required(cmd, "amount")
	return cmd
}

func newCreditsRefund() *cobra.Command {
	return newCreditsChange(&cobra.Command{
		Use: "refund", Short: "Make credits available again that were lost with a server",
		Example: "  latchkey credits refund --project acme/payments --limit credits --external-id customer-4711 " +
			"--reason 'incident 2026-07'",
	}, domain.CreditGrant{Refund: true})
}

// newCreditsChange is what a grant and a refund have in common.
func newCreditsChange(command *cobra.Command, grant domain.CreditGrant) *cobra.Command {
	var project, key string
	cmd := databaseCommand(command, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		grant.KeyID = domain.KeyID(key)
		done, err := handle.GrantCredits(ctx, grant)
		if err != nil {
			return err
		}
		return answer(cmd, grantedJSON(done), string(done.Entry.ID),
			"Changed the balance by %+d to %d, without what servers may still spend.", done.Entry.Amount, done.Balance)
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	cmd.Flags().StringVar(&grant.Limit, "limit", "", "the name of the limit")
	cmd.Flags().StringVar(&key, "key", "", "id of a key that spends the credits")
	cmd.Flags().StringVar(&grant.ExternalID, "external-id", "", "the external id that the credits are counted over")
	cmd.Flags().Int64Var(&grant.Amount, "amount", 0, "how many")
	cmd.Flags().StringVar(&grant.Reason, "reason", "", "why, for the audit trail")
	for _, flag := range []string{"project", "limit"} {
		required(cmd, flag)
	}
	cmd.MarkFlagsOneRequired("key", "external-id")
	cmd.MarkFlagsMutuallyExclusive("key", "external-id")
	return cmd
}

func newCreditsList() *cobra.Command {
	var project, key string
	var f domain.CreditFilter
	cmd := databaseCommand(&cobra.Command{
		Use: "list", Short: "List what has changed the credits of a project other than spending, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		f.KeyID = domain.KeyID(key)
		return printList(cmd, func(p domain.Page) (domain.List[domain.CreditEntry], error) {
			return handle.ListCreditEntries(ctx, f, p)
		},
			creditEntryJSON, "AT LIMIT SUBJECT KIND AMOUNT BY REASON", func(e domain.CreditEntry) []string {
				return []string{
					date(e.CreatedAt), e.Counter.Name, e.Counter.Subject, string(e.Kind), strconv.FormatInt(e.Amount, 10), e.CreatedBy.ID,
					e.Reason,
				}
			})
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	cmd.Flags().StringVar(&key, "key", "", "only credits that this key spends, by its id")
	cmd.Flags().StringVar(&f.ExternalID, "external-id", "", "only credits that are counted over this external id")
	required(cmd, "project")
	return cmd
}
