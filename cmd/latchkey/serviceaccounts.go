package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newServiceAccount() *cobra.Command {
	cmd := &cobra.Command{Use: "service-account", Short: "Make and manage service accounts, the users for programs"}
	cmd.AddCommand(
		newServiceAccountCreate(), newServiceAccountList(),
		newServiceAccountStatus("disable", "Stop the tokens of a service account until it is enabled again", domain.Disabled),
		newServiceAccountStatus("enable", "Enable a disabled service account and its tokens again", domain.Active),
		newServiceAccountDelete(), newServiceToken(),
	)
	return cmd
}

// inOrganization returns a command that acts in the organization of its flag
// --organization.
func inOrganization(
	cmd *cobra.Command, act func(ctx context.Context, o *service.Organization, cmd *cobra.Command, args []string) error,
) *cobra.Command {
	var organization string
	cmd = databaseCommand(cmd, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.organization(ctx, organization)
		if err != nil {
			return notFound(err, "organization", organization)
		}
		return act(ctx, handle, cmd, args)
	})
	cmd.Flags().StringVar(&organization, "organization", "", "id or slug of the organization")
	required(cmd, "organization")
	return cmd
}

// onServiceAccount returns a command that acts on one service account, given by its id.
func onServiceAccount(
	cmd *cobra.Command,
	act func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, args []string) error,
) *cobra.Command {
	return inOrganization(cmd, func(ctx context.Context, o *service.Organization, cmd *cobra.Command, args []string) error {
		id, err := domain.ParseID[domain.UserID](args[0])
		if err != nil {
			return fmt.Errorf("%q is not the id of a service account; it looks like usr_01k0…, as latchkey service-account list shows it",
				args[0])
		}
		account, err := o.GetServiceAccount(ctx, id)
		if err != nil {
			return notFound(err, "service account", args[0])
		}
		return act(ctx, o, cmd, account, args)
	})
}

func newServiceAccountCreate() *cobra.Command {
	var spec domain.ServiceAccountSpec
	cmd := inOrganization(&cobra.Command{
		Use: "create NAME", Short: "Make a service account in an organization",
		Example: "  latchkey service-account create terraform --organization acme --role admin",
	}, func(ctx context.Context, o *service.Organization, cmd *cobra.Command, args []string) error {
		spec.Name = args[0]
		account, err := o.CreateServiceAccount(ctx, spec)
		if err != nil {
			return err
		}
		return answer(cmd, serviceAccountJSON(account), string(account.ID), "Created the service account %s.", account.Name)
	})
	cmd.Flags().StringVar((*string)(&spec.Role), "role", "", "viewer, developer or admin")
	cmd.Flags().BoolVar(&spec.MayDeleteProjects, "may-delete-projects", false, "let it delete projects")
	required(cmd, "role")
	return cmd
}

func newServiceAccountList() *cobra.Command {
	return inOrganization(&cobra.Command{
		Use: "list", Short: "List the service accounts of an organization, newest first",
	}, func(ctx context.Context, o *service.Organization, cmd *cobra.Command, _ []string) error {
		return printList(cmd, func(p domain.Page) (domain.List[domain.ServiceAccount], error) { return o.ListServiceAccounts(ctx, p) },
			serviceAccountJSON, "ID NAME ROLE STATUS CREATED", func(a domain.ServiceAccount) []string {
				return []string{string(a.ID), a.Name, string(a.Role), string(a.Status), date(a.CreatedAt)}
			})
	})
}

func newServiceAccountStatus(verb, short string, status domain.Status) *cobra.Command {
	return onServiceAccount(&cobra.Command{Use: verb + " ID", Short: short},
		func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, _ []string) error {
			account, err := o.UpdateServiceAccount(ctx, account.ID, domain.ServiceAccountPatch{Status: &status})
			if err != nil {
				return err
			}
			return answer(cmd, serviceAccountJSON(account), string(account.ID), "%s is %s.", account.Name, account.Status)
		})
}

func newServiceAccountDelete() *cobra.Command {
	return onServiceAccount(&cobra.Command{Use: "delete ID", Short: "Delete a service account with its tokens; what it made stays"},
		func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, _ []string) error {
			if err := o.DeleteServiceAccount(ctx, account.ID); err != nil {
				return err
			}
			say(cmd, "The service account %s is deleted.", account.Name)
			return nil
		})
}

func newServiceToken() *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make and manage the tokens of a service account"}
	cmd.AddCommand(newServiceTokenCreate(), newServiceTokenList(), newServiceTokenDelete())
	return cmd
}

func newServiceTokenCreate() *cobra.Command {
	var name string
	var expiresIn span
	var never bool
	cmd := onServiceAccount(&cobra.Command{
		Use: "create ID", Short: "Make a token of a service account and print it, only this once",
		Example: "  latchkey service-account token create usr_01k0… --organization acme --name ci > token.txt",
	}, func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, _ []string) error {
		spec := domain.ServiceTokenSpec{Name: name}
		switch {
		case never:
			spec.ExpiresAt = new(time.Time)
		case cmd.Flags().Changed("expires-in") && expiresIn <= 0:
			return usage("--expires-in must be longer than nothing, as in 90d")
		case cmd.Flags().Changed("expires-in"):
			spec.ExpiresAt = new(time.Now().Add(time.Duration(expiresIn)).UTC())
		}
		made, token, err := o.CreateServiceToken(ctx, account.ID, spec)
		if err != nil {
			return err
		}
		say(cmd, "Created a token of %s. It is shown this once and stored nowhere:", account.Name)
		if wantsJSON(cmd) {
			err = printJSON(cmd, createdServiceTokenJSON(made, token))
		} else {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token.Reveal())
		}
		if err != nil {
			return fmt.Errorf("the token %s could not be written, and it is stored nowhere: %w\n"+
				"Delete it, and make another one", made.ID, err)
		}
		return nil
	})
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "what uses it, as in ci")
	flags.Var(&expiresIn, "expires-in", "how long it works, as in 12h, 30d or 2w (default: 365 days)")
	flags.BoolVar(&never, "never-expires", false, "let it work until it is deleted")
	cmd.MarkFlagsMutuallyExclusive("expires-in", "never-expires")
	required(cmd, "name")
	return cmd
}

func newServiceTokenList() *cobra.Command {
	return onServiceAccount(&cobra.Command{Use: "list ID", Short: "List the tokens of a service account, newest first"},
		func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, _ []string) error {
			return printList(cmd, func(p domain.Page) (domain.List[domain.ServiceToken], error) {
				return o.ListServiceTokens(ctx, account.ID, p)
			}, serviceTokenJSON, "ID PREFIX NAME CREATED EXPIRES LAST-USED", func(t domain.ServiceToken) []string {
				return []string{string(t.ID), t.Prefix, t.Name, date(t.CreatedAt), date(t.ExpiresAt), date(t.LastUsedAt)}
			})
		})
}

func newServiceTokenDelete() *cobra.Command {
	return onServiceAccount(&cobra.Command{Use: "delete ID TOKEN", Short: "End a token of a service account, given by its id or prefix"},
		func(ctx context.Context, o *service.Organization, cmd *cobra.Command, account domain.ServiceAccount, args []string) error {
			id := domain.TokenID(strings.TrimPrefix(domain.PublicPart(args[1]), domain.ServiceTokenPrefix+"_"+string(domain.Live)+"_"))
			if err := o.DeleteServiceToken(ctx, account.ID, id); err != nil {
				return notFound(err, "token", args[1])
			}
			say(cmd, "The token %s is deleted.", id)
			return nil
		})
}
