package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make and manage API keys"}
	cmd.AddCommand(newKeyCreate(), newKeyList(), newKeyCount(), newKeyShow(), newKeyRevoke(), newKeysRevoke(), newKeyRotate(),
		newKeyImport(), newKeyDelete(), newKeyVerify())
	return cmd
}

func newKeyCreate() *cobra.Command {
	var project, expiresAt string
	var expiresIn span
	var scopes, networks []string
	var spec domain.KeySpec
	cmd := databaseCommand(&cobra.Command{
		Use: "create NAME", Short: "Create a key and print its token, only this once",
		Example: "  latchkey key create backend --project acme/payments --scope keys:verify > token.txt",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		spec.Name, spec.Scopes, spec.AllowedIPs = args[0], as[domain.Scope](scopes), as[domain.Network](networks)
		if spec.ExpiresAt, err = expiry(expiresAt, time.Duration(expiresIn), cmd.Flags().Changed("expires-in")); err != nil {
			return err
		}
		key, token, err := handle.CreateKey(ctx, spec)
		if err != nil {
			return err
		}
		say(cmd, "Created the key %s (%s). Its token is shown this once and stored nowhere:", key.Name, key.ID)
		return printToken(cmd, key, token)
	})
	flags := cmd.Flags()
	flags.StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	flags.StringSliceVar(&scopes, "scope", nil, "what it may do, as in keys:verify or documents:read; may be repeated")
	flags.StringVar((*string)(&spec.Environment), "environment", string(domain.Live), "live or test")
	flags.StringVar(&expiresAt, "expires-at", "", "when it expires, as in 2030-01-31T12:00:00Z (default: never)")
	flags.Var(&expiresIn, "expires-in", "how long it is valid, as in 12h, 30d or 2w")
	flags.StringVar(&spec.ExternalID, "external-id", "", "its id in your own system")
	flags.StringVar((*string)(&spec.PlanID), "plan", "", "id of the plan whose limits hold for it")
	flags.StringSliceVar(&networks, "allow-ip", nil,
		"network or address that it may be used from, as in 203.0.113.0/24; may be repeated (default: all)")
	flags.StringToStringVar(&spec.Metadata, "metadata", nil, "your own data, as in team=billing,tier=gold")
	cmd.MarkFlagsMutuallyExclusive("expires-at", "expires-in")
	required(cmd, "project")
	return cmd
}

func expiry(at string, in time.Duration, isIn bool) (time.Time, error) {
	if isIn && in <= 0 {
		return time.Time{}, usage("--expires-in must be longer than nothing; leave it out for a key that does not expire")
	}
	if isIn {
		return time.Now().Add(in).UTC(), nil
	}
	if at == "" {
		return time.Time{}, nil
	}
	t, ok := domain.ParseTime(at)
	if !ok {
		return t, fmt.Errorf("--expires-at is a time such as 2030-01-31T12:00:00Z, not %q, and from 1970 on", at)
	}
	return t, nil
}

func newKeyList() *cobra.Command {
	var project string
	var filter domain.KeyFilter
	var idle span
	cmd := databaseCommand(&cobra.Command{
		Use: "list", Short: "List the keys of a project, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("idle") {
			if idle <= 0 {
				return usage("--idle must be longer than nothing, as in 90d")
			}
			filter.LastUsedBefore = time.Now().Add(-time.Duration(idle))
		}
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		return printList(cmd, func(p domain.Page) (domain.List[domain.Key], error) { return handle.ListKeys(ctx, filter, p) },
			keyJSON, "ID PREFIX NAME STATUS CREATED LAST-USED", func(k domain.Key) []string {
				return []string{string(k.ID), k.Prefix, k.Name, string(k.Status(time.Now())), date(k.CreatedAt), date(k.LastUsedAt)}
			})
	})
	flags := cmd.Flags()
	flags.StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	flags.StringVar((*string)(&filter.Status), "status", "", "only those that are active, expired or revoked")
	flags.StringVar((*string)(&filter.Environment), "environment", "", "only live or test ones")
	flags.StringVar(&filter.Search, "search", "", "only those whose name or prefix contains this")
	flags.StringVar(&filter.ExternalID, "external-id", "", "only those with this external id")
	flags.StringVar((*string)(&filter.PlanID), "plan", "", "only those of this plan, by id")
	flags.StringVar((*string)(&filter.Used), "used", "", "only those that were ever or never used")
	flags.Var(&idle, "idle", "only those that were used, but not for so long, as in 90d")
	flags.StringVar(&filter.CreatedBy, "created-by", "", "only those that this user or key made, by id; system: the command line")
	required(cmd, "project")
	return cmd
}

func newKeyCount() *cobra.Command {
	var project string
	cmd := databaseCommand(&cobra.Command{
		Use: "count", Short: "Count the keys of a project, or of the whole instance",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		n, err := op.countKeys(ctx, project)
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(cmd, map[string]int{"count": n})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), n)
		return err
	})
	cmd.Flags().StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug (default: all)")
	return cmd
}

func (op operator) countKeys(ctx context.Context, project string) (int, error) {
	if project == "" {
		return op.CountKeys(ctx, op.caller)
	}
	handle, err := op.project(ctx, project)
	if err != nil {
		return 0, notFound(err, "project", project)
	}
	return handle.CountKeys(ctx)
}

// onKey returns a command that acts on one key, given by its id.
func onKey(
	cmd *cobra.Command, act func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error,
) *cobra.Command {
	return databaseCommand(cmd, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		id, err := domain.ParseID[domain.KeyID](args[0])
		if err != nil {
			return fmt.Errorf("%q is not the id of a key; it looks like key_01k0…, as latchkey key list shows it", args[0])
		}
		project, err := op.ProjectOfKey(ctx, op.caller, id)
		if err != nil {
			return notFound(err, "key", args[0])
		}
		return act(ctx, project, cmd, id)
	})
}

func newKeyShow() *cobra.Command {
	return onKey(&cobra.Command{Use: "show ID", Short: "Show a key; its token cannot be shown again"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
			key, err := p.GetKey(ctx, id)
			if err != nil {
				return err
			}
			return printJSON(cmd, keyJSON(key))
		})
}

func newKeyRevoke() *cobra.Command {
	var reason string
	cmd := onKey(&cobra.Command{Use: "revoke ID", Short: "End a key permanently"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
			key, err := p.RevokeKey(ctx, id, reason)
			if err != nil {
				return err
			}
			return answer(cmd, keyJSON(key), string(key.ID), "The key %s is revoked.", key.Name)
		})
	cmd.Flags().StringVar(&reason, "reason", "", "why, shown with the key")
	return cmd
}

func newKeyRotate() *cobra.Command {
	var rotation domain.Rotation
	grace := span(domain.DefaultGrace)
	cmd := onKey(&cobra.Command{
		Use: "rotate ID", Short: "Give a key a new token and print it, only this once; the current one works for a while longer",
		Example: "  latchkey key rotate key_01k0… --grace 48h > token.txt",
	}, func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
		rotation.Grace = (*time.Duration)(&grace)
		key, token, err := p.RotateKey(ctx, id, rotation)
		if err != nil {
			return err
		}
		if key.Retiring.ValidUntil.IsZero() {
			say(cmd, "The token before it no longer works.")
		} else {
			say(cmd, "The token before it (%s) works until %s.", key.Retiring.Prefix, date(key.Retiring.ValidUntil))
		}
		say(cmd, "The key %s has a new token, which is shown this once and stored nowhere:", key.Name)
		return printToken(cmd, key, token)
	})
	cmd.Flags().Var(&grace, "grace", "how long the current token keeps working, up to 30d")
	return cmd
}

func newKeyDelete() *cobra.Command {
	return onKey(&cobra.Command{Use: "delete ID", Short: "Remove a key; the audit trail keeps what it did"},
		func(ctx context.Context, p *service.Project, cmd *cobra.Command, id domain.KeyID) error {
			if err := p.DeleteKey(ctx, id); err != nil {
				return err
			}
			say(cmd, "The key %s is deleted.", id)
			return nil
		})
}

func newKeyVerify() *cobra.Command {
	var scopes []string
	var question service.Question
	cmd := databaseCommand(&cobra.Command{
		Use: "verify", Short: "Report whether a token, read from standard input, is valid",
		Long: "Report whether a token, read from standard input, is valid, and whose it is.\n\nThe exit status is 0 if the token is valid.",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		token, err := readSecret(cmd, "token")
		if err != nil {
			return err
		}
		question.Token, question.Scopes = token, as[domain.Scope](scopes)
		v, err := op.VerifyKey(ctx, op.caller, question)
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			err = printJSON(cmd, verificationJSON(v))
		} else {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), v.Code)
		}
		if !v.Key.IsZero() {
			key := v.Key.Fields()
			say(cmd, "It is a token of the key %s (%s), of project %s.", key.Name, key.ID, key.ProjectID)
		}
		if !v.Valid() {
			err = errors.Join(err, errors.New("the token is not good: "+string(v.Code)))
		}
		return errors.Join(err, op.RecordUses(ctx))
	})
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "scope that the key must hold; may be repeated")
	cmd.Flags().StringVar(&question.IP, "ip", "", "address that the token was sent from; without it, a key with allowed_ips is refused")
	return cmd
}
