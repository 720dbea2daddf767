package main

import (
	"cmp"
	"context"
	"encoding/csv"
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
	project, key, since, until, interval string
	groups                               []string
	busiest, csv                         bool
	query                                domain.UsageQuery
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
	flags.StringVar((*string)(&f.query.Outcome), "outcome", "", "only uses with this outcome, such as valid or revoked")
	flags.StringVar(&f.since, "since", "", "from this time on, such as 2026-03-01T00:00:00Z (default: 30 days ago)")
	flags.StringVar(&f.until, "until", "", "before this time (default: now)")
	flags.StringVar(&f.interval, "interval", "day", "minute, hour, day, month or total")
	flags.StringSliceVar(&f.groups, "group-by", nil, "outcome, key, external_id or environment; two at most, with a comma")
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
	q.Interval = domain.UsageInterval(f.interval)
	for _, g := range f.groups {
		q.GroupBy = append(q.GroupBy, domain.UsageGroup(g))
	}
	q.Busiest, q.Limit = f.busiest, domain.MaxPageSize
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

// print prints the answer, a page in memory at a time.
func (f *usageFlags) print(ctx context.Context, op operator, cmd *cobra.Command) error {
	handle, err := op.project(ctx, f.project)
	if err != nil {
		return notFound(err, "project", f.project)
	}
	q, err := f.ask()
	if err != nil {
		return err
	}
	table, rows := newTable(cmd), csv.NewWriter(cmd.OutOrStdout())
	for first := true; ; first = false {
		u, err := handle.Usage(ctx, q)
		if err != nil {
			return err
		}
		q = u.Query
		if first && f.csv {
			_ = rows.Write(q.Columns()) // Flush tells
		}
		if first && !f.csv && !wantsJSON(cmd) {
			table.row(append([]string{"START"}, append(upper(q.GroupBy), "REQUESTS", "OUTCOMES")...)...)
		}
		for _, i := range u.Items {
			switch {
			case f.csv:
				_ = rows.Write(i.Row(q))
			case wantsJSON(cmd):
				if err := printJSON(cmd, api.UsageItemFrom(i, q)); err != nil {
					return err
				}
			default:
				table.row(append(append([]string{i.Start.UTC().Format(time.RFC3339)}, i.Groups...),
					strconv.FormatInt(i.Requests, 10), outcomes(i))...)
			}
		}
		if q.After = u.Next; q.After.IsZero() {
			say(cmd, "Complete until %s.", date(u.CompleteUntil))
			rows.Flush()
			return cmp.Or(rows.Error(), table.Flush())
		}
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
