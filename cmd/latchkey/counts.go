package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// usageFlags are the flags of latchkey usage.
type usageFlags struct {
	project, key, plan, since, until, interval string
	groups                                     []string
	busiest, csv                               bool
	query                                      domain.UsageQuery
}

func newUsage() *cobra.Command {
	var f usageFlags
	cmd := databaseCommand(&cobra.Command{
		Use: "usage", Short: "Show how often the keys of a project were used, by result",
		Example: "  latchkey usage --project acme/payments --group-by key --busiest --interval total\n" +
			"  latchkey usage --project acme/payments --group-by external_id --since 2026-03-01T00:00:00Z --interval month --csv",
	}, func(ctx context.Context, op operator, cmd *cobra.Command, _ []string) error {
		return f.print(ctx, op, cmd)
	})
	flags := cmd.Flags()
	flags.StringVar(&f.project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	flags.StringVar(&f.key, "key", "", "only uses of this key, by id")
	flags.StringVar(&f.query.ExternalID, "external-id", "", "only uses of keys that had this external id")
	flags.StringVar((*string)(&f.query.Environment), "environment", "", "only uses of live or test keys")
	flags.StringVar(&f.plan, "plan", "", "only uses of keys that have this plan now, by id")
	flags.StringVar(&f.query.Tag, "tag", "", "only questions of verifyKey with this tag")
	flags.StringVar((*string)(&f.query.Outcome), "outcome", "", "only uses with this outcome, such as valid or revoked")
	flags.StringVar(&f.since, "since", "", "from this time on, such as 2026-03-01T00:00:00Z (default: 30 days ago)")
	flags.StringVar(&f.until, "until", "", "before this time (default: now)")
	flags.StringVar(&f.interval, "interval", "day", "minute, hour, day, month or total")
	flags.StringSliceVar(&f.groups, "group-by", nil, "outcome, key, external_id, environment, plan or tag; two at most, with a comma")
	flags.BoolVar(&f.busiest, "busiest", false, "the most requests first")
	flags.BoolVar(&f.csv, "csv", false, "print CSV")
	required(cmd, "project")
	return cmd
}

// ask reads the question from the flags.
func (f *usageFlags) ask() (domain.UsageQuery, error) {
	q := f.query
	var err error
	if q.Since, err = usageTime("since", f.since); err != nil {
		return q, err
	}
	if q.Until, err = usageTime("until", f.until); err != nil {
		return q, err
	}
	if f.key != "" {
		if q.KeyID, err = domain.ParseID[domain.KeyID](f.key); err != nil {
			return q, fmt.Errorf("%q is not the id of a key; it looks like key_01k0…, as latchkey key list shows it", f.key)
		}
	}
	if f.plan != "" {
		if q.PlanID, err = domain.ParseID[domain.PlanID](f.plan); err != nil {
			return q, fmt.Errorf("%q is not the id of a plan; it looks like pln_01k0…, as latchkey plan list shows it", f.plan)
		}
	}
	q.Interval = domain.UsageInterval(f.interval)
	for _, g := range f.groups {
		q.GroupBy = append(q.GroupBy, domain.UsageGroup(g))
	}
	q.Busiest = f.busiest
	return q, nil
}

// usageTime reads a time, if there is one.
func usageTime(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, ok := domain.ParseTime(text)
	if !ok {
		return t, fmt.Errorf("--%s is a time such as 2026-03-01T00:00:00Z, not %q", flag, text)
	}
	return t, nil
}

// print prints the answer, of which one page is in memory at a time, or a table.
func (f *usageFlags) print(ctx context.Context, op operator, cmd *cobra.Command) error {
	handle, err := op.project(ctx, f.project)
	if err != nil {
		return notFound(err, "project", f.project)
	}
	q, err := f.ask()
	if err != nil {
		return err
	}
	export, usage, err := handle.ExportUsage(ctx, q)
	if err != nil {
		return err
	}
	table := newTable(cmd)
	if err := export.All(f.printer(cmd, usage.Query, table)); err != nil {
		return err
	}
	say(cmd, "Complete until %s.", date(usage.CompleteUntil))
	return table.Flush()
}

// printer returns what prints items in the form that the flags choose, which for
// people is the table.
func (f *usageFlags) printer(cmd *cobra.Command, q domain.UsageQuery, table table) func([]domain.UsageItem) error {
	switch {
	case f.csv:
		return domain.Table(cmd.OutOrStdout(), q.Columns(), func(i domain.UsageItem) ([]string, error) { return i.Row(q), nil })
	case wantsJSON(cmd):
		return func(items []domain.UsageItem) error {
			for _, i := range items {
				if err := printJSON(cmd, api.UsageItemFrom(i, q)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	table.row(append([]string{"START"}, append(upper(q.GroupBy), "REQUESTS", "OUTCOMES")...)...)
	return func(items []domain.UsageItem) error {
		for _, i := range items {
			table.row(append(append([]string{i.Start.UTC().Format(time.RFC3339)}, i.Groups...),
				strconv.FormatInt(i.Requests, 10), outcomes(i))...)
		}
		return nil
	}
}

// outcomes lists the outcomes that there were.
func outcomes(i domain.UsageItem) string {
	var all []string
	for _, o := range domain.Outcomes {
		if n := i.Outcomes[o]; n > 0 {
			all = append(all, fmt.Sprintf("%s=%d", o, n))
		}
	}
	return strings.Join(all, " ")
}

func upper(groups []domain.UsageGroup) (names []string) {
	for _, g := range groups {
		names = append(names, strings.ToUpper(strings.ReplaceAll(string(g), "_", "-")))
	}
	return names
}
