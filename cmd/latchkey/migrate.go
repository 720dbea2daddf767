package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/repository"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring the database's schema up to date, or show its state"}
	cmd.AddCommand(
		migrateCommand("up", "Apply pending migrations; other nodes wait until that is done", func(cmd *cobra.Command, s *settings) error {
			s.makes = true
			store, err := s.connect(cmd.Context())
			if err != nil {
				return err
			}
			return errors.Join(store.Migrate(cmd.Context()), store.Close())
		}),
		migrateCommand("status", "List migrations and when they were applied", func(*cobra.Command, *settings) error { return nil }),
	)
	return cmd
}

// migrateCommand returns a command that runs act and then lists the migrations.
func migrateCommand(use, short string, act func(*cobra.Command, *settings) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, _ []string) error {
		s, wrong, err := parseSettings(cmd)
		if err != nil {
			return err
		}
		if len(wrong) > 0 {
			return wrong
		}
		if err := act(cmd, s); err != nil {
			return err
		}
		steps, err := s.migrations(cmd.Context())
		if err != nil {
			return err
		}
		return printMigrations(cmd, steps)
	}}
	addOutputFlag(cmd)
	addSettingFlags(cmd, "DATABASE", "DATABASE_DIRECT")
	return cmd
}

// migrations returns the migrations of the database. If it does not exist, all are
// pending.
func (s *settings) migrations(ctx context.Context) ([]repository.Migration, error) {
	s.makes = false
	store, err := s.connect(ctx)
	if _, missing := errors.AsType[*missingError](err); missing {
		return repository.AllMigrations(s.Database)
	}
	if err != nil {
		return nil, err
	}
	steps, err := store.Migrations(ctx)
	return steps, errors.Join(err, store.Close())
}

func printMigrations(cmd *cobra.Command, steps []repository.Migration) error {
	table := newTable(cmd)
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
		table.row(step.Name, applied)
	}
	return table.Flush()
}
