package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
)

func newRoutes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "routes", Short: "List all operations: method, path, who may call them, the action they need", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			routes, err := api.Routes()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, r := range routes {
				if wantsJSON(cmd) {
					err := printJSON(cmd, map[string]string{
						"method": r.Method, "path": r.Path, "operation": r.Operation, "permission": r.Permission.String(), "action": string(r.Action),
					})
					if err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Method, r.Path, r.Permission, cmp.Or(string(r.Action), "-"))
			}
			return table.Flush()
		},
	}
	addOutputFlag(cmd)
	return cmd
}
