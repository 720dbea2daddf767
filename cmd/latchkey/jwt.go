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
		Long: "Sign access tokens with a new key. It is published at once and signs a minute later; the present one is believed until " +
			"no token of it lives any more, so nobody is signed out.",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		id, err := op.RotateSigningKey(ctx, op.caller, atOnce)
		if err != nil {
			return err
		}
		return answer(cmd, map[string]string{"kid": id}, id, "Made the signing key %s.", id)
	})
	cmd.Flags().BoolVar(&atOnce, "at-once", false, "forget the present key now, for one that has leaked; clients have to refresh")
	return cmd
}
