package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

func newPlanRehearse() *cobra.Command {
	var project, limits, plan, since, until string
	var spec domain.RehearsalSpec
	cmd := databaseCommand(&cobra.Command{
		Use: "rehearse", Short: "Show what limits would have refused of the requests that keys have made",
		Example: "  latchkey plan rehearse --project acme/payments \\\n" +
			`    --limits '[{"name":"monthly","type":"quota","limit":100000,"period":"month"}]'`,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) (err error) {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		if spec.Limits, err = parseLimits(limits); err != nil {
			return err
		}
		if spec.Since, err = usageTime("since", since); err != nil {
			return err
		}
		if spec.Until, err = usageTime("until", until); err != nil {
			return err
		}
		spec.PlanID = domain.PlanID(plan)
		result, err := handle.Rehearse(ctx, spec)
		if err != nil {
			return err
		}
		return printRehearsal(cmd, result)
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	cmd.Flags().StringVar(&limits, "limits", "", "the limits to rehearse, as the API takes them, in JSON")
	cmd.Flags().StringVar(&plan, "plan", "", "only keys that have this plan now, by id")
	cmd.Flags().StringVar(&spec.ExternalID, "external-id", "", "only keys that had this external id")
	cmd.Flags().StringVar(&since, "since", "", "from this time on, such as 2026-03-01T00:00:00Z (default: 30 days before until)")
	cmd.Flags().StringVar(&until, "until", "", "before this time (default: now)")
	required(cmd, "project")
	required(cmd, "limits")
	return cmd
}

func printRehearsal(cmd *cobra.Command, r domain.Rehearsal) error {
	say(cmd, "From %s to %s, %d of %d keys would have been limited: %d of %d requests, %.2f %%.",
		date(r.Since), date(r.Until), r.LimitedKeys, r.Keys, r.Limited, r.Requests, 100*r.Share())
	if wantsJSON(cmd) {
		return printJSON(cmd, api.RehearsalFrom(r))
	}
	table := newTable(cmd)
	table.row("LIMIT OR KEY", "KEYS", "REQUESTS")
	for _, l := range r.ByLimit {
		table.row(l.Name, strconv.FormatInt(l.Keys, 10), l.Precision()+strconv.FormatInt(l.Requests, 10))
	}
	for _, k := range r.Worst {
		table.row(fmt.Sprintf("%s %s", k.ID, k.Name), "", strconv.FormatInt(k.Requests, 10))
	}
	return table.Flush()
}
