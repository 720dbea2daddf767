package main

import (
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
)

func newOpenAPI() *cobra.Command {
	cmd := &cobra.Command{
		Use: "openapi", Short: "Print the contract with the configured address and header names, to generate clients from",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, wrong, err := parseSettings(cmd)
			if err != nil {
				return err
			}
			if len(wrong) > 0 {
				return wrong
			}
			text, err := api.OpenAPI(s.PublicURL, api.Credentials{Keyword: s.APIKeyKeyword, Header: s.APIKeyHeader})
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	addSettingFlags(cmd, "PUBLIC_URL", "API_KEY_KEYWORD", "API_KEY_HEADER")
	return cmd
}
