package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/domain"
)

// addOutputFlag adds the flag for JSON output to cmd.
func addOutputFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "answer in JSON, a list as one object in each line")
}

func wantsJSON(cmd *cobra.Command) bool {
	yes, err := cmd.Flags().GetBool("json")
	return err == nil && yes
}

// answer prints one object: as JSON with --json, otherwise its id on standard
// output, for scripts, and a sentence on standard error, for people.
func answer(cmd *cobra.Command, object any, id, format string, args ...any) error {
	say(cmd, format, args...)
	if wantsJSON(cmd) {
		return printJSON(cmd, object)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), id)
	return err
}

// printToken prints the token of a key that was just created or rotated. If writing
// fails, the token is lost, and the error says how to get another.
func printToken(cmd *cobra.Command, key domain.Key, token domain.Token) (err error) {
	if wantsJSON(cmd) {
		err = printJSON(cmd, createdKeyJSON(key, token))
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token.Reveal())
	}
	if err != nil {
		return fmt.Errorf("the key %s has a new token that could not be written, and it is stored nowhere: %w\n"+
			"Give the key another one with: latchkey key rotate %s --grace 0s", key.ID, err, key.ID)
	}
	return nil
}

func printJSON(cmd *cobra.Command, object any) error {
	var text bytes.Buffer
	if err := plainjson.NewEncoder(&text).Encode(object); err != nil {
		return err
	}
	_, err := io.WriteString(cmd.OutOrStdout(), visibleJSON(text.Bytes()))
	return err
}

// printList prints all pages of a list: as JSON with --json, otherwise as a table.
func printList[T any](
	cmd *cobra.Command, list func(domain.Page) (domain.List[T], error), object func(T) any, head string, row func(T) []string,
) error {
	table := newTable(cmd)
	if !wantsJSON(cmd) {
		table.row(strings.Fields(head)...)
	}
	page := domain.Page{Limit: domain.MaxPageSize}
	for {
		items, err := list(page)
		if err != nil {
			return err
		}
		for _, item := range items.Items {
			if wantsJSON(cmd) {
				if err := printJSON(cmd, object(item)); err != nil {
					return err
				}
				continue
			}
			table.row(row(item)...)
		}
		if page.After = items.Next; page.After.IsZero() {
			return table.Flush()
		}
	}
}

// table prints rows in columns. The content of a cell may come from other people.
type table struct{ *tabwriter.Writer }

func newTable(cmd *cobra.Command) table {
	return table{tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)}
}

func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = visible(cell)
	}
	fmt.Fprintln(t, strings.Join(cells, "\t")) // an error shows again when the table is flushed
}

// readSecret reads one line from standard input. On a terminal it asks for the line
// and does not show what is typed. There is no flag for a secret: every user of the
// machine can read the arguments of a process, and shells keep them in a history.
func readSecret(cmd *cobra.Command, what string) (string, error) {
	in := cmd.InOrStdin()
	if f, ok := in.(interface{ Fd() uintptr }); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: ", what)
		line, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(line), err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", fmt.Errorf("there is no %s on standard input", what)
	}
	return line, nil
}

// required makes cmd refuse to run without the flag.
func required(cmd *cobra.Command, flag string) {
	if err := cmd.MarkFlagRequired(flag); err != nil {
		panic(err) // there is no such flag: a bug in this program
	}
}

// notFound names what was not found. It returns other errors as they are.
func notFound(err error, kind, name string) error {
	if domain.CodeOf(err) == domain.CodeNotFound {
		return fmt.Errorf("there is no %s %q", kind, name)
	}
	return err
}

// as converts the values of a flag to a type of the domain.
func as[T ~string](values []string) []T {
	typed := make([]T, len(values))
	for i, v := range values {
		typed[i] = T(v)
	}
	return typed
}

// date returns a time as tables show it; the zero time is "never".
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime) + "Z"
}
