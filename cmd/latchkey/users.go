package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

func newUser() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Make and manage accounts of people"}
	cmd.AddCommand(
		newUserCreate(), newUserList(), newUserResetPassword(),
		newUserStatus("disable", "Keep a person out and end their sessions", domain.Disabled),
		newUserStatus("enable", "Let a disabled person in again", domain.Active),
		newUserOperator(),
	)
	return cmd
}

func newUserCreate() *cobra.Command {
	var name string
	var isOperator bool
	cmd := firstCommand(&cobra.Command{
		Use: "create EMAIL", Short: "Make an account; the password is read from standard input",
		Example: "  openssl rand -base64 18 | tee password.txt | latchkey user create ada@example.com --operator",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		password, err := readSecret(cmd, "password")
		if err != nil {
			return err
		}
		user, err := op.CreateUser(ctx, op.caller, domain.SignUp{Email: args[0], Password: domain.Hidden(password), Name: name}, isOperator)
		if err != nil {
			return err
		}
		return answer(cmd, userJSON(user), string(user.ID), "Created the account of %s.", user.Email)
	})
	cmd.Flags().StringVar(&name, "name", "", "name of the person")
	cmd.Flags().BoolVar(&isOperator, "operator", false, "give access to the instance page")
	return cmd
}

func newUserList() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use: "list", Short: "List all accounts, newest first",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		return printList(cmd, func(p domain.Page) (domain.List[domain.User], error) { return op.ListUsers(ctx, op.caller, p) },
			userJSON, "ID EMAIL NAME STATUS CREATED", func(u domain.User) []string {
				return []string{string(u.ID), u.Email, u.Name, string(u.Status), date(u.CreatedAt)}
			})
	})
}

func newUserOperator() *cobra.Command {
	var remove bool
	cmd := databaseCommand(&cobra.Command{
		Use: "operator EMAIL|ID", Short: "Make an existing account the operator's, who may see the instance page",
		Long: "Make an existing account the operator's, who may see the instance page. There may be several operators. The person " +
			"is signed out everywhere and can see the page after signing in again.",
		Example: "  latchkey user operator ada@example.com\n  latchkey user operator ada@example.com --remove",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		user, err := op.FindUser(ctx, op.caller, args[0])
		if err != nil {
			return notFound(err, "user", args[0])
		}
		if user, err = op.SetOperator(ctx, op.caller, user.ID, !remove); err != nil {
			return err
		}
		if remove {
			return answer(cmd, userJSON(user), string(user.ID), "%s is no operator any more.", user.Email)
		}
		return answer(cmd, userJSON(user), string(user.ID), "%s is an operator.", user.Email)
	})
	cmd.Flags().BoolVar(&remove, "remove", false, "remove this right from the account instead")
	return cmd
}

func newUserStatus(verb, short string, status domain.Status) *cobra.Command {
	var revokeKeys bool
	cmd := databaseCommand(&cobra.Command{
		Use: verb + " EMAIL|ID", Short: short,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		user, err := op.FindUser(ctx, op.caller, args[0])
		if err != nil {
			return notFound(err, "user", args[0])
		}
		if user, err = op.SetUserStatus(ctx, op.caller, user.ID, status); err != nil {
			return err
		}
		if err := answer(cmd, userJSON(user), string(user.ID), "The account of %s is %s.", user.Email, user.Status); err != nil {
			return err
		}
		if status == domain.Active {
			return nil
		}
		return op.endKeysOf(ctx, cmd, user, revokeKeys)
	})
	if status != domain.Active {
		cmd.Flags().BoolVar(&revokeKeys, "revoke-keys", false, "also revoke the keys that they made; otherwise these keep working")
	}
	return cmd
}

// endKeysOf revokes the keys that a user made, or prints how many there are.
func (op operator) endKeysOf(ctx context.Context, cmd *cobra.Command, user domain.User, revoke bool) error {
	if revoke {
		n, err := op.RevokeKeysMadeBy(ctx, op.caller, user.ID)
		say(cmd, "Keys they made that are revoked now: %d.", n)
		return err
	}
	n, err := op.KeysMadeBy(ctx, op.caller, user.ID)
	if n > 0 {
		say(cmd, "Keys they made that are not revoked: %d. To revoke them, run this again with --revoke-keys.", n)
	}
	return err
}

func newUserResetPassword() *cobra.Command {
	return databaseCommand(&cobra.Command{
		Use:   "reset-password EMAIL|ID",
		Short: "Make a link with which a person sets a new password, once and within ten minutes",
		Long: "Make a link with which a person sets a new password, once and within ten minutes.\n\n" +
			"Hand it to the person themselves. Using it ends all their sessions; until then nothing changes.\n" +
			"To end their sessions now, disable the account and enable it again.",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		user, err := op.FindUser(ctx, op.caller, args[0])
		if err != nil {
			return notFound(err, "user", args[0])
		}
		link, err := op.CreateResetLink(ctx, op.caller, user.ID)
		if err != nil {
			return err
		}
		return op.printResetLink(cmd, link)
	})
}

// resetLink is a link as JSON. Without a public address there is only its token.
type resetLink struct {
	UserID    domain.UserID `json:"user_id"`
	URL       string        `json:"url,omitempty"`
	Token     string        `json:"token"`
	ExpiresAt time.Time     `json:"expires_at"`
}

// printResetLink prints only the link, which is for that person. If no setting has
// the public address of the instance, it prints the token, and on standard error
// where to paste it.
func (op operator) printResetLink(cmd *cobra.Command, link service.ResetLink) error {
	shown := resetLink{link.User.ID, link.URL.Reveal(), link.Token.Reveal(), link.ExpiresAt}
	what, text := "link", shown.URL
	if !op.public {
		what, text, shown.URL = "token", shown.Token, ""
	}
	say(cmd, "With this %s, %s can set a new password once, until %s.", what, link.User.Email, date(link.ExpiresAt))
	if !op.public {
		say(cmd, "Paste the token into the form at /console/reset-password of this instance. "+
			"With %sPUBLIC_URL set, this prints a link instead.",
			settingPrefix)
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, shown)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
