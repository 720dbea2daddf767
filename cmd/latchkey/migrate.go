package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/repository"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring the database's schema up to date, or look how far it is", Args: cobra.NoArgs}
	cmd.AddCommand(
		migrateCommand("up", "Apply pending migrations; other nodes wait meanwhile", func(cmd *cobra.Command, store *repository.Store) error {
			return store.Migrate(cmd.Context())
		}),
		migrateCommand("status", "List migrations and when they were applied", func(*cobra.Command, *repository.Store) error { return nil }),
	)
	return cmd
}

// migrateCommand does its work on the store and tells how far the schema is.
func migrateCommand(use, short string, act func(*cobra.Command, *repository.Store) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		s, wrong, err := parseSettings(cmd)
		if err != nil {
			return err
		}
		if len(wrong) > 0 {
			return wrong
		}
		store, err := s.connect(cmd.Context())
		if err != nil {
			return err
		}
		defer store.Close()
		if err := act(cmd, store); err != nil {
			return err
		}
		return printMigrations(cmd, store)
	}}
	addOutputFlag(cmd)
	addSettingFlags(cmd, "DATABASE", "DATABASE_DIRECT")
	return cmd
}

func printMigrations(cmd *cobra.Command, store *repository.Store) error {
	steps, err := store.Migrations(cmd.Context())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, step := range steps {
		applied := "pending"
		if !step.AppliedAt.IsZero() {
			applied = date(step.AppliedAt)
		}
		if wantsJSON(cmd) {
			if err := printJSON(cmd, map[string]any{"version": step.Version, "name": step.Name, "applied": applied}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\n", step.Name, applied)
	}
	return table.Flush()
}
