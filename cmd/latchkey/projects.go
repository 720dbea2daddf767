package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newProject() *cobra.Command {
	cmd := &cobra.Command{Use: "project", Short: "Make and manage projects, which own keys"}
	cmd.AddCommand(
		newProjectCreate(), newProjectList(),
		newProjectStatus("disable", "End all keys of a project until it is enabled again", domain.Disabled),
		newProjectStatus("enable", "Enable a disabled project and its keys again", domain.Active),
		newProjectTokens(), newProjectSuspend(), newProjectResume(),
	)
	return cmd
}

// project finds a project by id, or by the slugs of its organization and of
// itself: acme/payments.
func (op operator) project(ctx context.Context, idOrSlugs string) (*service.Project, error) {
	organization, slug, ok := strings.Cut(idOrSlugs, "/")
	if !ok {
		id, err := domain.ParseID[domain.ProjectID](idOrSlugs)
		if err != nil {
			return nil, domain.NotFound()
		}
		return op.Project(ctx, op.caller, id)
	}
	org, err := op.organization(ctx, organization)
	if err != nil {
		return nil, err
	}
	return org.ProjectBySlug(ctx, slug)
}

func newProjectCreate() *cobra.Command {
	var organization string
	var spec domain.ProjectSpec
	cmd := databaseCommand(&cobra.Command{
		Use: "create NAME", Short: "Make a project",
		Example: "  latchkey project create Payments --organization acme",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		org, err := op.organization(ctx, organization)
		if err != nil {
			return notFound(err, "organization", organization)
		}
		spec.Name = args[0]
		project, err := org.CreateProject(ctx, spec)
		if err != nil {
			return err
		}
		return answer(cmd, projectJSON(project), string(project.ID), "Created %s (%s).", project.Name, project.Slug)
	})
	cmd.Flags().StringVar(&organization, "organization", "", "id or slug of the organization it belongs to")
	cmd.Flags().StringVar(&spec.Slug, "slug", "", "short name (default: from the name)")
	cmd.Flags().StringVar(&spec.KeyPrefix, "key-prefix", "", "first part of its tokens (default: the instance's)")
	required(cmd, "organization")
	return cmd
}

func newProjectList() *cobra.Command {
	var organization string
	cmd := databaseCommand(&cobra.Command{
		Use: "list", Short: "List the projects of an organization, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		org, err := op.organization(ctx, organization)
		if err != nil {
			return notFound(err, "organization", organization)
		}
		return printList(cmd, func(p domain.Page) (domain.List[domain.Project], error) { return org.ListProjects(ctx, p) },
			projectJSON, "ID SLUG NAME STATUS CREATED", func(p domain.Project) []string {
				return []string{string(p.ID), p.Slug, p.Name, standing(p.Status, p.Suspended), date(p.CreatedAt)}
			})
	})
	cmd.Flags().StringVar(&organization, "organization", "", "id or slug of the organization")
	required(cmd, "organization")
	return cmd
}

func newProjectStatus(verb, short string, status domain.Status) *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: verb + " ID|ORGANIZATION/SLUG", Short: short,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.project(ctx, args[0])
		if err != nil {
			return notFound(err, "project", args[0])
		}
		project, err := handle.Update(ctx, domain.ProjectPatch{Status: &status})
		if err != nil {
			return err
		}
		return answer(cmd, projectJSON(project), string(project.ID), "%s is %s.", project.Name, project.Status)
	})
}

func newProjectSuspend() *cobra.Command {
	return suspendCommand(&cobra.Command{
		Use: "suspend ID|ORGANIZATION/SLUG", Short: "Stop a project until you resume it; its members cannot",
		Example: "  latchkey project suspend acme/payments --reason 'It sends spam.'",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, name, reason string) error {
		handle, err := op.project(ctx, name)
		if err != nil {
			return notFound(err, "project", name)
		}
		project, err := handle.Suspend(ctx, reason)
		if err != nil {
			return err
		}
		return answer(cmd, projectJSON(project), string(project.ID), "%s is suspended: none of its keys works.", project.Name)
	})
}

func newProjectResume() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "resume ID|ORGANIZATION/SLUG", Short: "Lift the suspension of a project",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.project(ctx, args[0])
		if err != nil {
			return notFound(err, "project", args[0])
		}
		project, err := handle.Resume(ctx)
		if err != nil {
			return err
		}
		return answer(cmd, projectJSON(project), string(project.ID), "%s is %s.", project.Name, project.Status)
	})
}
