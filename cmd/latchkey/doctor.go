package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/repository"
)

// What the doctor finds worth a word.
const (
	slowAnswer = 50 * time.Millisecond
	clockDrift = 2 * time.Second // tokens are issued by one clock and judged by another
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look settings, database, schema, clock and master key over, and say what to mend", Args: cobra.NoArgs,
		Long: "Look settings, database, schema, clock and master key over, and say what to mend.\n\n" +
			"Nothing is changed. The exit status is 1 when something has to be mended.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{cmd: cmd}
			d.examine(cmd.Context())
			if d.bad > 0 {
				return fmt.Errorf("%d to mend", d.bad)
			}
			return nil
		},
	}
	addSettingFlags(cmd)
	return cmd
}

// doctor says what it finds, line by line.
type doctor struct {
	cmd *cobra.Command
	bad int
}

func (d *doctor) good(format string, args ...any) {
	fmt.Fprintf(d.cmd.OutOrStdout(), "ok    "+format+"\n", args...)
}

func (d *doctor) note(format string, args ...any) {
	fmt.Fprintf(d.cmd.OutOrStdout(), "note  "+format+"\n", args...)
}

func (d *doctor) mend(format string, args ...any) {
	d.bad++
	fmt.Fprintf(d.cmd.OutOrStdout(), "MEND  "+format+"\n", args...)
}

func (d *doctor) examine(ctx context.Context) {
	s, wrong, err := parseSettings(d.cmd)
	if err != nil {
		d.mend("%v", err)
		return
	}
	for _, mistake := range append(wrong, s.needMasterKey()...) {
		d.mend("%s", mistake)
	}
	for _, name := range s.unknown {
		d.note("%s is no setting of this version; it is ignored", name)
	}
	if d.bad > 0 {
		return
	}
	d.good("settings")
	if _, err := os.Stat(s.sqlitePath()); !s.postgres() && errors.Is(err, os.ErrNotExist) {
		d.note("there is no database at %s yet; the first start makes it", s.sqlitePath())
		return
	}
	store, err := s.connect(ctx)
	if err != nil {
		d.mend("the database does not answer: %s", explain(err))
		return
	}
	defer store.Close()
	if d.schema(ctx, store) {
		d.database(ctx, store)
		d.masterKey(ctx, s, store)
	}
}

// schema reports whether the schema is the one that this program knows.
func (d *doctor) schema(ctx context.Context, store *repository.Store) bool {
	steps, err := store.Migrations(ctx)
	if err != nil {
		d.mend("the migrations cannot be read: %s", explain(err))
		return false
	}
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			d.mend("migration %s is not applied: run latchkey migrate up, or start with %sMIGRATE=auto", step.Name, settingPrefix)
			return false
		}
	}
	d.good("schema: %d migrations applied", len(steps))
	return true
}

func (d *doctor) database(ctx context.Context, store *repository.Store) {
	health, err := store.Examine(ctx)
	if err != nil {
		d.mend("the database cannot be examined: %s", explain(err))
		return
	}
	d.good("database: %s %s, answers in %v", store.Engine(), health.Version, health.Took.Round(time.Microsecond))
	if health.Took > slowAnswer {
		d.note("that is slow: look-ups of keys that are not cached take at least as long")
	}
	if drift := time.Until(health.Clock).Abs(); drift > clockDrift {
		d.mend("the clocks of this machine and of the database differ by %v: have both follow a time server", drift.Round(time.Millisecond))
	} else {
		d.good("clock: within %v of the database's", drift.Round(time.Millisecond))
	}
	for _, fault := range health.Faults {
		d.mend("%s", fault)
	}
	nodes, err := store.ListNodes(ctx)
	if err != nil {
		d.mend("the nodes cannot be listed: %s", explain(err))
		return
	}
	d.good("nodes: %d have reported within the hour", len(nodes))
}

func (d *doctor) masterKey(ctx context.Context, s *settings, store *repository.Store) {
	if _, err := s.newApp(ctx, store, s.publicURL(s.Listen), false, s.logger(d.cmd.ErrOrStderr())); err != nil {
		d.mend("%s", explain(err))
		return
	}
	d.good("master key: the one that this database was first used with")
}
