package service_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// database is the world's database as someone sees it who can write to it and
// does not have the master key.
func (w *world) database() *sql.DB {
	w.Helper()
	driver, address := "pgx", w.DSN
	if path, ok := strings.CutPrefix(w.DSN, "sqlite:"); ok {
		driver, address = "sqlite", path+"?_pragma=busy_timeout(60000)"
	}
	db, err := sql.Open(driver, address)
	w.check(err)
	w.Cleanup(func() { db.Close() })
	return db
}

func (w *world) exec(db *sql.DB, statement string, args ...any) {
	w.Helper()
	if !strings.HasPrefix(w.DSN, "sqlite:") {
		for i := range args {
			statement = strings.Replace(statement, "?", "$"+string(rune('1'+i)), 1)
		}
	}
	_, err := db.ExecContext(w.Context(), statement, args...)
	w.check(err)
}

// Guarantees that someone who writes to the database without the master key gets
// into no account: a session row that is given to another user, a hash that is
// copied from another user, and a hash that was made elsewhere all prove nothing.
func TestWriterWithoutMasterKeyGetsNowhere(t *testing.T) {
	t.Parallel()
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dsn(t))
			ctx, db := w.Context(), w.database()
			ann, _ := w.signUp("ann@example.com").User()
			w.signUp("eve@example.com")
			eves, err := w.LogIn(ctx, domain.Origin{}, "eve@example.com", password)
			w.check(err)

			w.exec(db, "UPDATE sessions SET user_id = ? WHERE id = ?", string(ann.User.ID), string(eves.Session.ID))
			servicetest.Eventually(w, "the session is read again", func() bool {
				_, err := w.ProveSession(ctx, eves.Cookie)
				return err != nil
			})
			_, err = w.ProveSession(ctx, eves.Cookie)
			w.code(err, domain.CodeInvalidToken)
			_, err = w.Refresh(ctx, domain.Origin{}, eves.RefreshToken)
			w.code(err, domain.CodeInvalidToken)

			account, err := w.Account(ctx, w.signUp("mallory@example.com"))
			w.check(err)
			w.check(account.ChangePassword(ctx, password, "nine green lanterns afloat"))
			w.exec(db, "UPDATE users SET password_hash = "+
				"(SELECT password_hash FROM users WHERE email = 'mallory@example.com') WHERE id = ?",
				string(ann.User.ID))
			_, err = w.LogIn(ctx, domain.Origin{IP: "192.0.2.1"}, "ann@example.com", "nine green lanterns afloat")
			w.code(err, domain.CodeInvalidCredentials)

			w.check(w.BindPasswords(ctx))
			// argon2id of "nine green lanterns afloat", as 0.1 stored it.

			w.exec(db, "UPDATE users SET password_hash = ? WHERE id = ?", plainHash, string(ann.User.ID))
			_, err = w.LogIn(ctx, domain.Origin{IP: "198.51.100.1"}, "ann@example.com", "nine green lanterns afloat")
			w.code(err, domain.CodeInvalidCredentials)
			said := w.Logged.String()
			if !strings.Contains(said, "node of 0.1") || !strings.Contains(said, "latchkey user reset-password") {
				w.Errorf("the log says neither where the hash may come from nor what to do:\n%s", said)
			}
		})
	}
}

const plainHash = "$argon2id$v=19$m=19456,t=2,p=1$NRA+nIq2hA06OGYjtSPLxQ$oRjOyoJ9uugvnxXJ40jrdpbEkYyj0iu0UaXb9ZWah/g"

// Guarantees that while a node of 0.1 is listed everything is written as it reads
// it; that the first time without one binds what is there, without a password;
// and that what was handed out before is good until its time is up.
func TestOldFormsWhileOldNodesRun(t *testing.T) {
	t.Parallel()
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := dsn(t)
			w := prepare(t, storetest.New(t, address), address)
			ctx, db := w.Context(), w.database()
			w.exec(db, "INSERT INTO nodes (id, name, started_at, seen_at, lag) VALUES ('old', '', 1, 1, 0)")
			w.App = w.Another(service.Options{})
			hash := func() (stored string) {
				w.check(db.QueryRowContext(ctx, "SELECT password_hash FROM users").Scan(&stored))
				return stored
			}
			in, err := w.SignUp(ctx, domain.Origin{}, domain.SignUp{Email: "ann@example.com", Password: password})
			w.check(err)
			w.check(w.BindPasswords(ctx))
			if !strings.HasPrefix(hash(), "$argon2id$") || strings.Count(in.Cookie, ".") != 1 {
				w.Errorf("got a hash and a cookie that 0.1 cannot read")
			}
			w.exec(db, "DELETE FROM nodes")
			w.check(w.BindPasswords(ctx))
			if !strings.HasPrefix(hash(), "$latchkey-argon2id$") {
				w.Errorf("the hash is not bound")
			}
			again, err := w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			w.check(err)
			if strings.Count(again.Cookie, ".") != 2 {
				w.Errorf("the cookie is not bound")
			}
			_, err = w.ProveSession(ctx, in.Cookie)
			w.check(err)
			in, err = w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
			w.check(err)
			_, err = w.Refresh(ctx, domain.Origin{}, in.RefreshToken)
			w.check(err)

			w.exec(db, "INSERT INTO nodes (id, name, started_at, seen_at, lag) VALUES ('old', '', 1, 1, 0)")
			again, err = w.LogIn(ctx, domain.Origin{}, "ann@example.com", password)
			w.check(err)
			if strings.Count(again.Cookie, ".") != 2 {
				w.Errorf("what is bound once is bound for good; got an old cookie")
			}
		})
	}
}
