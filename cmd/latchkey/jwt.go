package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newJWT() *cobra.Command {
	cmd := &cobra.Command{Use: "jwt", Short: "Manage the keys that sign access tokens"}
	cmd.AddCommand(newJWTRotate())
	return cmd
}

func newJWTRotate() *cobra.Command {
	var atOnce bool
	cmd := databaseCommand(&cobra.Command{
		Use: "rotate", Short: "Sign access tokens with a new key",
		Long: "Sign access tokens with a new key. It is published immediately and signs a minute later. " +
			"The current key is accepted until the last token signed with it has expired, so no one is signed out.",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		id, err := op.RotateSigningKey(ctx, op.caller, atOnce)
		if err != nil {
			return err
		}
		return answer(cmd, map[string]string{"kid": id}, id, "Made the signing key %s.", id)
	})
	cmd.Flags().BoolVar(&atOnce, "at-once", false, "drop the current key immediately, because it has leaked; clients have to refresh")
	return cmd
}
