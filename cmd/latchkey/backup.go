package main

import (
	"github.com/spf13/cobra"
)

func newBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup FILE", Short: "Copy an SQLite database to a new file while the server runs",
		Long: "Copy an SQLite database to a new file, as it is at one moment, while the server runs.\n\n" +
			"To restore, stop the server, replace the database with the copy, and remove the files beside it that end in -wal and -shm. " +
			"The copy does not contain the master key: keep its file or variable too, elsewhere. " +
			"For PostgreSQL use pg_dump or base backups.",
		RunE: func(cmd *cobra.Command, args []string) error {
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
			if err := store.Backup(cmd.Context(), args[0]); err != nil {
				return err
			}
			say(cmd, "The database is copied to %s. The copy does not contain the master key: keep that too, elsewhere.", args[0])
			return nil
		},
	}
	addSettingFlags(cmd, "DATABASE")
	return cmd
}
