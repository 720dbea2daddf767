package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/outgoing"
)

// openStore opens the configured database and brings its schema up to date. With
// LATCHKEY_MIGRATE=check it refuses a schema that is not up to date.
func (s *settings) openStore(ctx context.Context) (*repository.Store, error) {
	store, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// connect opens the configured database as it is. It creates a missing database
// only for commands that may create one.
func (s *settings) connect(ctx context.Context) (*repository.Store, error) {
	if _, err := os.Stat(s.sqlitePath()); !s.makes && !s.postgres() && errors.Is(err, fs.ErrNotExist) {
		return nil, s.missing()
	}
	store, err := repository.Open(ctx, s.Database, repository.Options{Direct: s.DatabaseDirect})
	if err != nil || s.makes {
		return store, err
	}
	empty, err := store.Empty(ctx)
	if empty && err == nil {
		err = s.missing()
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// missingError is the error of a command whose database does not exist yet.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

func (s *settings) missing() error {
	var text strings.Builder
	fmt.Fprintf(&text, "there is no Latchkey database at %s (%sDATABASE); serve, quickstart, migrate up and user create make one",
		repository.Redact(s.Database), settingPrefix)
	for _, name := range s.unknown {
		text.WriteString("\n" + name + " is no setting of this version; it is ignored")
	}
	return &missingError{text.String()}
}

func (s *settings) migrate(ctx context.Context, store *repository.Store) error {
	if s.Migrate == "auto" {
		return store.Migrate(ctx)
	}
	steps, err := store.Migrations(ctx)
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step.AppliedAt.IsZero() {
			return fmt.Errorf("the database lacks migration %s and %sMIGRATE=check forbids applying it here: run latchkey migrate up",
				step.Name, settingPrefix)
		}
	}
	return nil
}

// openApp opens the database and creates the service on it. The caller closes the
// store. A server makes url the issuer of access tokens, unless the database
// already records another one.
func (s *settings) openApp(ctx context.Context, url string, serves bool, log *slog.Logger) (*service.App, *repository.Store, error) {
	store, err := s.openStore(ctx)
	if err != nil {
		return nil, nil, err
	}
	app, err := s.newApp(ctx, store, url, serves, log)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return app, store, nil
}

func (s *settings) newApp(ctx context.Context, store *repository.Store, url string, serves bool, log *slog.Logger) (*service.App, error) {
	key, err := s.findMasterKey(ctx, store)
	if err != nil {
		return nil, err
	}
	issuer := url
	if serves && s.PublicURL == "" {
		if issuer, err = service.KeepIssuer(ctx, store, url); err != nil {
			return nil, fmt.Errorf("settle who issues access tokens: %w", err)
		}
	}
	o := service.Options{
		Store:       store,
		MasterKey:   key,
		Issuer:      issuer,
		PublicURL:   url,
		KeyPrefix:   s.KeyPrefix,
		Signup:      service.SignupPolicy(s.Signup),
		Log:         log,
		OutageGrace: &s.grace,
		UsageDays:   s.UsageDays,
		SyncWaiters: s.SyncWaiters,
		Webhooks:    outgoing.Options{Networks: s.webhooks},
		Address:     s.servedOn,
		Terminal:    terminal(),
	}
	if serves {
		if o.Journal, err = s.openJournal(log); err != nil {
			return nil, err
		}
	}
	if s.SMTPURL != "" {
		if o.Mailer, err = s.mailer(url); err != nil {
			return nil, err
		}
	}
	return service.New(ctx, o)
}

// terminal returns the terminal of the person who started the program, or nil when
// the output is not a terminal and may be stored.
func terminal() io.Writer {
	if !isatty.IsTerminal(os.Stderr.Fd()) {
		return nil
	}
	return os.Stderr
}

// logger returns the log of the server.
func (s *settings) logger(w io.Writer) *slog.Logger {
	// Write a duration with its unit, as in "131.206µs"; JSON would have a number of
	// nanoseconds.
	options := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Value.Kind() == slog.KindDuration {
			return slog.String(a.Key, a.Value.Duration().String())
		}
		return a
	}}
	if s.Log == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// operator is the caller of the command line: the service, with the principal that
// the audit trail calls system.
type operator struct {
	*service.App
	caller domain.Principal
	public bool // a setting has the public address of the instance
}

// action is what a command does with the database.
type action func(ctx context.Context, op operator, cmd *cobra.Command, args []string) error

// databaseCommand makes cmd act on the configured database, which must exist.
func databaseCommand(cmd *cobra.Command, act action) *cobra.Command { return actOn(cmd, false, act) }

// firstCommand is like databaseCommand, for commands that may be the first one on an
// instance: it creates the database if there is none.
func firstCommand(cmd *cobra.Command, act action) *cobra.Command { return actOn(cmd, true, act) }

func actOn(cmd *cobra.Command, makes bool, act action) *cobra.Command {
	addOutputFlag(cmd)
	addSettingFlags(cmd, "DATABASE", "DATABASE_DIRECT", "MASTER_KEY_FILE")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := readSettings(cmd)
		if err != nil {
			return err
		}
		s.makes = makes
		ctx := cmd.Context()
		app, store, err := s.openApp(ctx, s.publicURL(s.Listen), false, s.logger(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		return errors.Join(act(ctx, operator{app, domain.System(), s.PublicURL != ""}, cmd, args), app.RecordUses(ctx), store.Close())
	}
	return cmd
}
