package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
)

const (
	importBatch    = 1000 // rows handed to the service at a time
	importProgress = time.Second
	maxImportLine  = 1 << 20 // bytes

	maxImportErrors = 1000 // in the report; standard error has all of them
)

func newKeyImport() *cobra.Command {
	var project, algorithm, format, djangoDSN string
	table := repository.DefaultDjangoTable
	cmd := databaseCommand(&cobra.Command{
		Use: "import [FILE]", Short: "Import keys that another system made, by the hashes of their tokens",
		Long: `Import keys that another system made, by the hashes of their tokens. Clients keep using their tokens.

FILE has one key per line: as a JSON object, or as CSV with the names of the columns in the first line. "-" is standard
input. The names are those of the API (name, algorithm, hash, prefix, environment, scopes, external_id, metadata, allowed_ips,
created_at, expires_at, revoked) or those of the Django library (hashed_key, created, expiry_date). Scopes and allowed_ips in CSV
are separated by spaces.

--from-django reads the table of djangorestframework-api-key in its own database and does not change it.

Good rows are imported even when others are bad; bad rows are listed by line. Keys that exist stay as they are, so an import that
was interrupted is resumed by starting it again.`,
		Example: `  latchkey key import keys.jsonl --project acme/payments
  latchkey key import --from-django postgres://app@db/app --project acme/payments
  latchkey key import --from-django sqlite:db.sqlite3 --table heroes_heroapikey --external-id-column hero_id --project acme/heroes`,
	}, func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error {
		if (len(args) == 1) == (djangoDSN != "") {
			return errors.New("name a file, or a database with --from-django")
		}
		handle, err := op.project(ctx, project)
		if err != nil {
			return notFound(err, "project", project)
		}
		rows := djangoRows(ctx, djangoDSN, table)
		if len(args) == 1 {
			in, closeIn, err := openInput(cmd, args[0])
			if err != nil {
				return err
			}
			defer closeIn()
			format = cmp.Or(format, strings.TrimPrefix(filepath.Ext(args[0]), "."))
			if rows, err = fileRows(in, format, domain.Algorithm(algorithm)); err != nil {
				return err
			}
		}
		return importAll(ctx, cmd, handle, rows)
	})
	flags := cmd.Flags()
	flags.StringVar(&project, "project", "", "id of the project, or ORGANIZATION/PROJECT by slug")
	flags.StringVar(&format, "format", "", "jsonl or csv (default: by the name of the file)")
	flags.StringVar(&algorithm, "algorithm", "", "of rows that name none and whose hash does not show it, as in sha256-hex")
	flags.StringVar(&djangoDSN, "from-django", "", "read the table of this database: postgres://… or sqlite:PATH")
	flags.StringVar(&table.Name, "table", table.Name, "with --from-django: the table")
	flags.StringVar(&table.Prefix, "prefix-column", table.Prefix, "with --from-django: the column of the prefix")
	flags.StringVar(&table.HashedKey, "hash-column", table.HashedKey, "with --from-django: the column of the hash")
	flags.StringVar(&table.KeyName, "name-column", table.KeyName, "with --from-django: the column of the name")
	flags.StringVar(&table.Created, "created-column", table.Created, "with --from-django: the column of the creation")
	flags.StringVar(&table.ExpiryDate, "expiry-column", table.ExpiryDate, "with --from-django: the column of the expiry")
	flags.StringVar(&table.Revoked, "revoked-column", table.Revoked, "with --from-django: the column of the revocation")
	flags.StringVar(&table.ExternalID, "external-id-column", "", "with --from-django: a column of your own model to keep as external id")
	required(cmd, "project")
	return cmd
}

// line is a row with its line number in the file or its position in the table.
type line struct {
	number int
	row    domain.ImportRow
	bad    error // it could not be read
}

// importReport is what an import prints as JSON.
type importReport struct {
	Imported  int       `json:"imported"`
	Unchanged int       `json:"unchanged"`
	Errors    []badLine `json:"errors"` // the first thousand
	More      int       `json:"more,omitempty"`
}

type badLine struct {
	Line   int    `json:"line"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// importAll imports rows batch by batch and reports its progress.
func importAll(ctx context.Context, cmd *cobra.Command, p *service.Project, lines iter.Seq2[line, error]) error {
	report := importReport{Errors: []badLine{}}
	read, begun, told := 0, time.Now(), time.Now()
	bad := func(b badLine) {
		if len(report.Errors) < maxImportErrors {
			report.Errors = append(report.Errors, b)
		} else {
			report.More++
		}
		say(cmd, "line %d: %s", b.Line, strings.TrimSpace(b.Field+" "+b.Detail))
	}
	var batch []line
	flush := func() error {
		rows := make([]domain.ImportRow, len(batch))
		for i, l := range batch {
			rows[i] = l.row
		}
		result, err := p.ImportKeys(ctx, slices.Values(rows))
		if err != nil {
			return fmt.Errorf("stopped before line %d (start it again to continue): %w", firstNumber(batch), err)
		}
		report.Imported += result.Imported
		report.Unchanged += result.Unchanged
		for _, e := range result.Errors {
			var i int
			var field string
			if n, err := fmt.Sscanf(strings.ReplaceAll(e.Pointer, "/", " "), "%d %s", &i, &field); err != nil || n != 2 {
				return fmt.Errorf("an error at %s, which is no row", e.Pointer)
			}
			bad(badLine{batch[i].number, field, e.Detail})
		}
		batch = batch[:0]
		if time.Since(told) >= importProgress {
			told = time.Now()
			say(cmd, "%d rows read, %.0f in a second", read, float64(read)/time.Since(begun).Seconds())
		}
		return nil
	}
	for l, err := range lines {
		if err != nil {
			return errors.Join(flush(), err)
		}
		if read++; l.bad != nil {
			bad(badLine{Line: l.number, Detail: l.bad.Error()})
			continue
		}
		if batch = append(batch, l); len(batch) == importBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	took := time.Since(begun)
	slices.SortStableFunc(report.Errors, func(a, b badLine) int { return a.Line - b.Line })
	refused := read - report.Imported - report.Unchanged
	say(cmd, "%d imported, %d here already, %d rows not taken, in %v (%.0f rows in a second)",
		report.Imported, report.Unchanged, refused, took.Round(time.Millisecond), float64(read)/took.Seconds())
	if wantsJSON(cmd) {
		if err := printJSON(cmd, report); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d rows are bad; the others are imported", refused)
	}
	return nil
}

func firstNumber(batch []line) int {
	if len(batch) == 0 {
		return 1
	}
	return batch[0].number
}

func djangoRows(ctx context.Context, dsn string, table repository.DjangoTable) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		number := 0
		for row, err := range repository.DjangoKeys(ctx, dsn, table) {
			number++
			if !yield(line{number: number, row: row}, err) {
				return
			}
		}
	}
}
