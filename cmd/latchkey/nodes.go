package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func newNode() *cobra.Command {
	cmd := &cobra.Command{Use: "node", Short: "List nodes that are gone, and forget them"}
	cmd.AddCommand(newNodeList(), newNodeForget())
	return cmd
}

func newNodeList() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "list", Short: "List the nodes that do not report and still have leases of quotas or credits",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		return printList(cmd, func(domain.Page) (domain.List[domain.GoneNode], error) {
			gone, err := op.GoneNodes(ctx, op.caller)
			return domain.List[domain.GoneNode]{Items: gone}, err
		}, goneNodeJSON, "ID SEEN LEASES UNITS JOURNAL", func(n domain.GoneNode) []string {
			return []string{
				n.ID, date(n.SeenAt), strconv.Itoa(n.Leases), strconv.FormatInt(n.Units, 10), strconv.FormatBool(n.Journaled),
			}
		})
	})
}

func goneNodeJSON(n domain.GoneNode) any {
	return map[string]any{"id": n.ID, "seen_at": n.SeenAt, "leases": n.Leases, "units": n.Units, "journal": n.Journaled}
}

func newNodeForget() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "forget NODE", Short: "Forfeit what a node has leased that will not come back, so that its credits can be refunded",
		Example: "  latchkey node forget 3KF7QZ2M5T6XWVYB4N2LRJHCDE",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		ended, err := op.ForgetNode(ctx, op.caller, args[0])
		if err != nil {
			return notFound(err, "node", args[0])
		}
		return answer(cmd, map[string]any{"id": args[0], "leases": ended.Leases, "forfeited": ended.Forfeited}, args[0],
			"Forfeited %d units in %d leases.", ended.Forfeited, ended.Leases)
	})
}
