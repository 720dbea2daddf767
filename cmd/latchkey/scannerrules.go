package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
)

func newScannerRules() *cobra.Command {
	var format string
	var prefixes []string
	cmd := databaseCommand(&cobra.Command{
		Use: "scanner-rules", Short: "Print rules by which secret scanners find the tokens of this instance",
		Long: "Print rules by which secret scanners find the tokens of this instance, one for each prefix that a project has: for " +
			"gitleaks and betterleaks, for trufflehog, or the fields of a custom pattern of GitHub.",
		Example: "  latchkey scanner-rules --format gitleaks > .gitleaks.toml",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		used, err := op.KeyPrefixes(ctx, op.caller)
		if err != nil {
			return err
		}
		rules, err := domain.ScannerRules(domain.ScannerFormat(format), append(used, prefixes...))
		if err != nil {
			return err
		}
		if wantsJSON(cmd) {
			return printJSON(cmd, map[string]any{"format": format, "rules": rules})
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), rules)
		return err
	})
	cmd.Flags().StringVar(&format, "format", string(domain.Gitleaks), "gitleaks, trufflehog or github")
	cmd.Flags().StringSliceVar(&prefixes, "prefix", nil, "a further prefix, such as one that a project had before; may be repeated")
	return cmd
}
