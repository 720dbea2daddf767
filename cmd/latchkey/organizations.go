package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newOrganization() *cobra.Command {
	cmd := &cobra.Command{Use: "organization", Short: "Make and manage organizations, the tenants"}
	cmd.AddCommand(
		newOrganizationCreate(), newOrganizationList(),
		newOrganizationStatus("disable", "End all keys of an organization until it is enabled again", domain.Disabled),
		newOrganizationStatus("enable", "Enable a disabled organization and its keys again", domain.Active),
		newOrganizationSuspend(), newOrganizationResume(),
	)
	return cmd
}

// organization finds an organization by id or slug.
func (op operator) organization(ctx context.Context, idOrSlug string) (*service.Organization, error) {
	if id, err := domain.ParseID[domain.OrganizationID](idOrSlug); err == nil {
		return op.Organization(ctx, op.caller, id)
	}
	return op.OrganizationBySlug(ctx, op.caller, idOrSlug)
}

func newOrganizationCreate() *cobra.Command {
	var owner, slug string
	cmd := databaseCommand(&cobra.Command{
		Use: "create NAME", Short: "Make an organization",
		Example: "  latchkey organization create Acme --owner ada@example.com",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		user, err := op.FindUser(ctx, op.caller, owner)
		if err != nil {
			return notFound(err, "user", owner)
		}
		org, err := op.CreateOrganization(ctx, op.caller, domain.OrganizationSpec{Name: args[0], Slug: slug, Owner: user.ID})
		if err != nil {
			return err
		}
		return answer(cmd, organizationJSON(org), string(org.ID), "Created %s (%s), owned by %s.", org.Name, org.Slug, user.Email)
	})
	cmd.Flags().StringVar(&owner, "owner", "", "email address or id of the person who owns it")
	cmd.Flags().StringVar(&slug, "slug", "", "short name (default: from the name)")
	required(cmd, "owner")
	return cmd
}

func newOrganizationList() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "list", Short: "List all organizations, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		return printList(cmd, func(p domain.Page) (domain.List[domain.MemberOf], error) {
			return op.ListOrganizations(ctx, op.caller, p)
		},
			organizationJSON, "ID SLUG NAME STATUS CREATED", func(o domain.MemberOf) []string {
				return []string{string(o.ID), o.Slug, o.Name, standing(o.Status, o.Suspended), date(o.CreatedAt)}
			})
	})
}

func newOrganizationStatus(verb, short string, status domain.Status) *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: verb + " ID|SLUG", Short: short,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.organization(ctx, args[0])
		if err != nil {
			return notFound(err, "organization", args[0])
		}
		org, err := handle.Update(ctx, domain.OrganizationPatch{Status: &status})
		if err != nil {
			return err
		}
		return answer(cmd, organizationJSON(org), string(org.ID), "%s is %s.", org.Name, org.Status)
	})
}

func newOrganizationSuspend() *cobra.Command {
	return suspendCommand(&cobra.Command{
		Use: "suspend ID|SLUG", Short: "Stop an organization until you resume it; its owners cannot",
		Example: "  latchkey organization suspend acme --reason 'Unpaid since January.'",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, name, reason string) error {
		handle, err := op.organization(ctx, name)
		if err != nil {
			return notFound(err, "organization", name)
		}
		org, err := handle.Suspend(ctx, reason)
		if err != nil {
			return err
		}
		return answer(cmd, organizationJSON(org), string(org.ID), "%s is suspended: no key of its projects works.", org.Name)
	})
}

func newOrganizationResume() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "resume ID|SLUG", Short: "Lift the suspension of an organization",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.organization(ctx, args[0])
		if err != nil {
			return notFound(err, "organization", args[0])
		}
		org, err := handle.Resume(ctx)
		if err != nil {
			return err
		}
		return answer(cmd, organizationJSON(org), string(org.ID), "%s is %s.", org.Name, org.Status)
	})
}

// suspendCommand returns a command that suspends what its argument names, with the
// reason in --reason.
func suspendCommand(
	cmd *cobra.Command, run func(ctx context.Context, op operator, cmd *cobra.Command, name, reason string) error,
) *cobra.Command {
	var reason string
	cmd = databaseCommand(cmd, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		return run(ctx, op, cmd, args[0], reason)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the members to read")
	required(cmd, "reason")
	return cmd
}

// standing returns the status of an organization or project as lists show it.
func standing(status domain.Status, s domain.Suspension) string {
	if s.Active() {
		return "suspended"
	}
	return string(status)
}
