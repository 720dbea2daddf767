package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

// checks are the checks of doctor, in this order. A check reports its findings with
// ok, note and fix, and returns an error when it could not run. A check that only
// asks the database is a line in package repository instead: see questions in its
// doctor.go.
var checks = []struct {
	subject string
	run     func(*doctor, context.Context) error
}{
	{"the database", (*doctor).checkDatabase},
	{"the clock", (*doctor).checkClock},
	{"the stored data", (*doctor).checkStored},
	{"the email addresses", (*doctor).checkEmails},
	{"the list of nodes", (*doctor).checkNodes},
	{"the leases", (*doctor).checkLeases},
	{"the proxies", (*doctor).checkProxies},
	{"the master key", (*doctor).checkMasterKey},
}

// Limits beyond which doctor reports something.
const (
	slowAnswer = 50 * time.Millisecond
	clockDrift = 2 * time.Second // tokens are issued by one clock and judged by another
)

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check settings, database, schema, clock and master key, and report what to fix",
		Long: "Check settings, database, schema, clock and master key, and report what to fix.\n\n" +
			"Nothing is changed. The exit status is 1 when there is something to fix.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &doctor{cmd: cmd}
			d.check(cmd.Context())
			if d.bad > 0 {
				return fmt.Errorf("%d to fix", d.bad)
			}
			return nil
		},
	}
	addSettingFlags(cmd)
	return cmd
}

// doctor prints its findings, one per line.
type doctor struct {
	cmd      *cobra.Command
	settings *settings
	store    *repository.Store
	health   repository.Health
	bad      int
}

func (d *doctor) ok(format string, args ...any) { d.line("ok  ", format, args...) }

func (d *doctor) note(format string, args ...any) { d.line("note", format, args...) }

func (d *doctor) fix(format string, args ...any) {
	d.bad++
	d.line("FIX ", format, args...)
}

func (d *doctor) line(kind, format string, args ...any) {
	fmt.Fprintln(d.cmd.OutOrStdout(), kind+"  "+visibleLines(fmt.Sprintf(format, args...)))
}

func (d *doctor) check(ctx context.Context) {
	if !d.checkSettings() {
		return
	}
	store, err := d.settings.connect(ctx)
	if missing, ok := errors.AsType[*missingError](err); ok {
		d.note("%s", missing)
		return
	}
	if err != nil {
		d.fix("the database cannot be used: %s", explain(err))
		return
	}
	defer store.Close()
	d.store = store
	if !d.checkSchema(ctx) {
		return
	}
	if d.health, err = store.CheckHealth(ctx); err != nil {
		d.fix("the database cannot be checked: %s", explain(err))
		return
	}
	for _, check := range checks {
		if err := check.run(d, ctx); err != nil {
			d.fix("%s cannot be checked: %s", check.subject, explain(err))
		}
	}
}

// checkSettings reports whether the settings can be used.
func (d *doctor) checkSettings() bool {
	s, wrong, err := parseSettings(d.cmd)
	if err != nil {
		d.fix("%v", err)
		return false
	}
	d.settings = s
	for _, mistake := range append(wrong, s.needMasterKey()...) {
		d.fix("%s", mistake)
	}
	for _, name := range s.unknown {
		d.note("%s is no setting of this version; it is ignored", name)
	}
	if d.bad > 0 {
		return false
	}
	for _, warning := range s.warnings() {
		d.note("%s", warning)
	}
	d.ok("settings")
	return true
}

// checkSchema reports whether the schema is the one that this program expects.
func (d *doctor) checkSchema(ctx context.Context) bool {
	steps, err := d.store.Migrations(ctx)
	if err != nil {
		d.fix("the migrations cannot be read: %s", explain(err))
		return false
	}
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			d.fix("migration %s is not applied: run latchkey migrate up, or start with %sMIGRATE=auto", step.Name, settingPrefix)
			return false
		}
	}
	d.ok("schema: %d migrations applied", len(steps))
	unknown, err := d.store.UnknownMigrations(ctx)
	if err != nil {
		d.fix("the migrations cannot be read: %s", explain(err))
		return false
	}
	if len(unknown) > 0 {
		d.note("a newer Latchkey has applied migrations that this one (%s) does not know: %v. "+
			"They do no harm; run the same version everywhere",
			domain.Version, unknown)
	}
	return true
}

func (d *doctor) checkDatabase(context.Context) error {
	d.ok("database: %s %s, answers in %v", d.store.Engine(), d.health.Version, d.health.Took.Round(time.Microsecond))
	if d.health.Took > slowAnswer {
		d.note("that is slow: look-ups of keys that are not cached take at least as long")
	}
	return nil
}

func (d *doctor) checkClock(context.Context) error {
	drift := time.Until(d.health.Clock).Abs().Round(time.Millisecond)
	if drift > clockDrift {
		d.fix("the clocks of this machine and of the database differ by %v: have both follow a time server", drift)
		return nil
	}
	d.ok("clock: within %v of the database's", drift)
	return nil
}

func (d *doctor) checkStored(context.Context) error {
	for _, note := range d.health.Notes {
		d.note("%s", note)
	}
	for _, fault := range d.health.Faults {
		d.fix("%s", fault)
	}
	return nil
}

// checkEmails lists accounts that share one address in two forms.
func (d *doctor) checkEmails(ctx context.Context) error {
	twins, err := service.EmailTwins(ctx, d.store)
	for _, pair := range twins {
		d.note("%s and %s are accounts of one email address, once in Unicode and once in punycode; the first is the one that signs in. "+
			"Disable the other one when its owner does not need it", pair[0], pair[1])
	}
	return err
}

func (d *doctor) checkNodes(ctx context.Context) error {
	nodes, err := d.store.ListNodes(ctx)
	if err != nil {
		return err
	}
	running := map[string]bool{}
	for _, n := range nodes {
		running[cmp.Or(n.Version, "0.1")] = true
	}
	versions := strings.Join(slices.Sorted(maps.Keys(running)), ", ")
	if len(nodes) == 0 {
		d.ok("nodes: none has reported within the hour")
		return nil
	}
	d.ok("nodes: %d have reported within the hour (version %s)", len(nodes), versions)
	if len(running) > 1 {
		d.note("nodes run different versions: %s. New forms of data wait until all run the newest", versions)
	}
	return nil
}

// checkLeases reports what nodes have leased that do not report, and the journal.
func (d *doctor) checkLeases(ctx context.Context) error {
	gone, err := d.store.GoneNodes(ctx, time.Now().Add(-time.Minute))
	for _, n := range gone {
		back := "It is forfeited an hour after the node was here last"
		if n.Journaled {
			back = "Start the node again with its journal, which says what it has spent; otherwise it is forfeited after 7 days"
		}
		d.note("node %s does not report and has %d units of quotas and credits in %d leases. %s, or with latchkey node forget %s",
			n.ID, n.Units, n.Leases, back, n.ID)
	}
	d.checkJournal()
	return err
}

func (d *doctor) checkMasterKey(ctx context.Context) error {
	s := d.settings
	_, err := s.newApp(ctx, d.store, s.publicURL(s.Listen), false, s.logger(d.cmd.ErrOrStderr()))
	if missing, ok := errors.AsType[*missingError](err); ok {
		d.note("%s", missing)
		return nil
	}
	if err != nil {
		d.fix("%s", explain(err))
		return nil
	}
	d.ok("master key: the one that this database was first used with")
	return nil
}
