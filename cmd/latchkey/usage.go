package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a mistake in a command line. The exit status is 2, as in shells and
// many programs.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// checkUsage makes every command below cmd refuse unknown commands and flags, with
// the nearest known one, and name missing arguments as its usage line does.
func checkUsage(cmd *cobra.Command) {
	cmd.Args = checkArguments
	if cmd.HasSubCommands() {
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	cmd.SetFlagErrorFunc(unknownFlag)
	for _, sub := range cmd.Commands() {
		checkUsage(sub)
	}
}

// checkHelp makes the help command of root refuse unknown commands, as root itself
// does.
func checkHelp(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use: "help [command]", Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil && len(rest) > 0 && cmd.HasSubCommands() {
				err = unknownCommand(cmd, rest[0])
			}
			if err != nil {
				return err
			}
			return cmd.Help()
		},
	})
}

// checkArguments compares args with the usage line of cmd, where [X] is optional.
func checkArguments(cmd *cobra.Command, args []string) error {
	if cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	names := strings.Fields(cmd.Use)[1:]
	for i, name := range names {
		if i >= len(args) && !strings.HasPrefix(name, "[") {
			return usage("%s is missing; the command is: %s", name, cmd.CommandPath()+" "+strings.Join(names, " "))
		}
	}
	if len(args) > len(names) {
		// The argument is not repeated: it may be a password or a token.
		takes := "no arguments"
		if len(names) > 0 {
			takes = "only " + strings.Join(names, " ")
		}
		return usage("%s takes %s; see %s --help", cmd.CommandPath(), takes, cmd.CommandPath())
	}
	var missing error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, required := f.Annotations[cobra.BashCompOneRequiredFlag]; required && !f.Changed && missing == nil {
			missing = usage("--%s is missing: %s", f.Name, f.Usage)
		}
	})
	return missing
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	if !commandLike.MatchString(name) { // it may be a password or a token
		return usage("%s has no such command; it has: %s", cmd.CommandPath(), strings.Join(names, ", "))
	}
	return usage("%s has no command %q; the nearest is: %s %s\nIt has: %s",
		cmd.CommandPath(), name, cmd.CommandPath(), nearest(name, names), strings.Join(names, ", "))
}

// commandLike matches what a person can have meant as a command.
var commandLike = regexp.MustCompile(`^[a-z][a-z-]{0,19}$`)

func unknownFlag(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		text, _, _ := strings.Cut(err.Error(), " in -") // what follows -p may be a password
		return usage("%s; see %s --help", text, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if len(names) == 0 {
		return usage("%v", err)
	}
	return usage("%v; the nearest is --%s", err, nearest(name, names))
}

// nearest returns the entry of names with the smallest distance from name.
func nearest(name string, names []string) (best string) {
	fewest := -1
	for _, candidate := range names {
		if d := distance(name, candidate); fewest < 0 || d < fewest {
			best, fewest = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance: how many characters to add, remove or replace.
func distance(a, b string) int {
	const longest = 64 // names are shorter, but an argument may have any length
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
