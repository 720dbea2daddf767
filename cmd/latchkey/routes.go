package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
)

func newRoutes() *cobra.Command {
	cmd := &cobra.Command{
		Use: "routes", Short: "List all operations: method, path, who may call them, the action they need",
		RunE: func(cmd *cobra.Command, _ []string) error {
			routes, err := api.Routes()
			if err != nil {
				return err
			}
			table := newTable(cmd)
			for _, r := range routes {
				if wantsJSON(cmd) {
					err := printJSON(cmd, map[string]string{
						"method": r.Method, "path": r.Path, "operation": r.Operation, "permission": r.Permission.String(),
						"action": string(r.Action),
					})
					if err != nil {
						return err
					}
					continue
				}
				table.row(r.Method, r.Path, r.Permission.String(), cmp.Or(string(r.Action), "-"))
			}
			return table.Flush()
		},
	}
	addOutputFlag(cmd)
	return cmd
}
