package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newPlan() *cobra.Command {
	cmd := &cobra.Command{Use: "plan", Short: "Make and manage plans, which are named sets of limits"}
	cmd.AddCommand(newPlanCreate(), newPlanList(), newPlanShow(), newPlanUpdate(), newPlanDelete(), newPlanRehearse())
	return cmd
}

// onPlan returns a command that acts on one plan, given by its id.
func onPlan(
	cmd *cobra.Command, act func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.PlanID) error,
) *cobra.Command {
	return databaseCommand(cmd, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		id, err := domain.ParseID[domain.PlanID](args[0])
		if err != nil {
			return fmt.Errorf("%q is not the id of a plan; it looks like pln_01k0…, as latchkey plan list shows it", args[0])
		}
		project, err := op.ProjectOfPlan(ctx, op.caller, id)
		if err != nil {
			return notFound(err, "plan", args[0])
		}
		return act(ctx, project, cmd, id)
	})
}

func newPlanCreate() *cobra.Command {
	var project, limits string
	cmd := databaseCommand(&cobra.Command{
		Use: "create NAME", Short: "Make a plan of a project",
		Example: `  latchkey plan create Pro --project acme/payments --limits '[{"name":"requests","type":"rate","limit":null}]'`,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		spec := domain.PlanSpec{Name: args[0]}
		if spec.Limits, err = parseLimits(limits); err != nil {
			return err
		}
		plan, err := handle.CreatePlan(ctx, spec)
		if err != nil {
			return err
		}
		return answer(cmd, planJSON(plan), string(plan.ID), "Created the plan %s.", plan.Name)
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	cmd.Flags().StringVar(&limits, "limits", "[]", "its limits, as the API takes them, in JSON")
	required(cmd, "project")
	return cmd
}

// parseLimits reads the flag --limits.
func parseLimits(text string) ([]domain.Limit, error) {
	limits, err := domain.ParseLimits(text)
	if err != nil {
		return nil, usage(`--limits is a list in JSON, such as [{"name":"requests","type":"rate","limit":null}]`)
	}
	return limits, nil
}

func newPlanList() *cobra.Command {
	var project string
	cmd := databaseCommand(&cobra.Command{
		Use: "list", Short: "List the plans of a project, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		return printList(cmd, func(p domain.Page) (domain.List[domain.Plan], error) { return handle.ListPlans(ctx, p) },
			planJSON, "ID NAME LIMITS KEYS CREATED", func(p domain.Plan) []string {
				return []string{string(p.ID), p.Name, limitNames(p.Limits), strconv.FormatInt(p.Keys, 10), date(p.CreatedAt)}
			})
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	required(cmd, "project")
	return cmd
}

func limitNames(limits []domain.Limit) string {
	if len(limits) == 0 {
		return "-"
	}
	names := make([]string, len(limits))
	for i, l := range limits {
		names[i] = l.Name
	}
	return strings.Join(names, ",")
}

func newPlanShow() *cobra.Command {
	return onPlan(&cobra.Command{Use: "show ID", Short: "Show a plan with its limits"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.PlanID) error {
			plan, err := p.GetPlan(ctx, id)
			if err != nil {
				return err
			}
			return printJSON(cmd, planJSON(plan))
		})
}

func newPlanUpdate() *cobra.Command {
	var name, limits string
	cmd := onPlan(&cobra.Command{Use: "update ID", Short: "Change a plan's name, or replace its limits, for all its keys"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.PlanID) error {
			var patch domain.PlanPatch
			if cmd.Flags().Changed("name") {
				patch.Name = &name
			}
			if cmd.Flags().Changed("limits") {
				parsed, err := parseLimits(limits)
				if err != nil {
					return err
				}
				patch.Limits = &parsed
			}
			plan, err := p.UpdatePlan(ctx, id, patch)
			if err != nil {
				return err
			}
			return answer(cmd, planJSON(plan), string(plan.ID), "The plan %s is as you want it.", plan.Name)
		})
	cmd.Flags().StringVar(&name, "name", "", "its new name")
	cmd.Flags().StringVar(&limits, "limits", "", "all its limits, as the API takes them, in JSON")
	cmd.MarkFlagsOneRequired("name", "limits")
	return cmd
}

func newPlanDelete() *cobra.Command {
	return onPlan(&cobra.Command{Use: "delete ID", Short: "Remove a plan that no key refers to"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.PlanID) error {
			if err := p.DeletePlan(ctx, id); err != nil {
				return err
			}
			say(cmd, "The plan %s is gone.", id)
			return nil
		})
}
