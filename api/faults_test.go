package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

var (
	long      = flag.Bool("long", false, "have every statement of every operation fail, not a sample")
	faultSeed = flag.Uint64("fault-seed", 52, "the seed of the sample")
)

// faultSample is how many faults of each database a plain run tries.
const faultSample = 60

var (
	// needNoDatabase are the operations that answer without a statement.
	needNoDatabase = []string{
		"getLiveness", "getOpenAPI", "getOpenAPIJSON", "getReference", "getErrorReference",
		"getJWKS", // from memory
	}
	// triedTwice are the operations whose lean edge leaves what fails to the
	// ordinary one, which asks the database again.
	triedTwice = []string{"getCurrentProject", "verifyKey"}
)

// maySucceed reports whether an answer without a statement's result is the right
// one: getCaller says from memory when a key was last used while the database
// cannot, and keys that have been imported are learned of later, as on other
// nodes.
func (a attempt) maySucceed() bool {
	return a.operation == "getCaller" && strings.Contains(a.statement, "MAX(u.last_used_at)") ||
		a.operation == "importKeys" && strings.Contains(a.statement, "(s.import_batch IS")
}

// broken is a scene with a second instance that remembers nothing, so that it
// reads everything from a database whose statements can fail.
type broken struct {
	*scene

	app  *service.App
	cold *echo.Echo
	box  mailbox // nil: there is no mail server
	dump *storetest.Dumper
	asks int
}

func newBroken(t *testing.T, dsn string, box mailbox) *broken {
	t.Helper()
	store := storetest.NewBreakable(t, dsn)
	b := &broken{scene: newSceneIn(t, serveWorld(t, servicetest.Prepare(t, store, dsn), nil)), dump: storetest.NewDumper(t, dsn), box: box}
	options := service.Options{Log: slog.New(slog.DiscardHandler)}
	if box != nil {
		options.Mailer = box
		for _, p := range b.people {
			user, err := store.GetUser(t.Context(), p.User.ID)
			if err != nil {
				t.Fatal(err)
			}
			user.EmailVerified = true
			if err := store.UpdateUser(t.Context(), user); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.app = b.Another(options)
	var err error
	if b.cold, err = api.New(b.app, api.Config{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return b
}

// from is a network that nothing has been counted for.
func (b *broken) from() string {
	b.asks++
	return fmt.Sprintf("10.%d.%d.1", b.asks/250, b.asks%250)
}

// request is that of the scene, with tokens that were mailed where there is a
// mail server.
func (b *broken) request(t *testing.T, id, path, column string) (address string, as credential, body any) {
	t.Helper()
	address, as, body = b.scene.request(t, id, path, column)
	if b.box == nil || id != "verifyEmail" && id != "resetPassword" {
		return address, as, body
	}
	b.fresh++
	email := fmt.Sprintf("mailed-%d@example.com", b.fresh)
	_, err := b.app.SignUp(t.Context(), domain.Origin{IP: b.from()}, domain.SignUp{Email: email, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	token := b.mailed(t, email)
	if id == "verifyEmail" {
		return address, as, map[string]string{"token": token, "password": password}
	}
	if err := b.app.ForgotPassword(t.Context(), domain.Origin{IP: b.from()}, email); err != nil {
		t.Fatal(err)
	}
	return address, as, map[string]string{"token": b.mailed(t, email), "password": password}
}

// mailed sends what waits and returns the token that an address is sent.
func (b *broken) mailed(t *testing.T, to string) string {
	t.Helper()
	b.app.SendMails(t.Context())
	for len(b.box) > 0 {
		if message := <-b.box; message.To == to {
			return inFragment.FindStringSubmatch(message.Text)[1]
		}
	}
	t.Fatalf("nothing was sent to %s", to)
	return ""
}

// newRequest is a request from a network that nothing has been counted for.
func (b *broken) newRequest(ctx context.Context, t *testing.T, method, path string, as credential, body any) *http.Request {
	t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(ctx, method, path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	as(r.Header)
	r.RemoteAddr = b.from() + ":1234"
	return r
}

// ask sends a request to the instance that remembers nothing, under a fault.
func (b *broken) ask(t *testing.T, f *storetest.Fault, method, path string, as credential, body any) answer {
	t.Helper()
	r := b.newRequest(f.Context(t.Context()), t, method, path, as, body)
	recorder := httptest.NewRecorder()
	b.cold.ServeHTTP(recorder, r)
	a := answer{recorder.Code, recorder.Header(), recorder.Body.Bytes()}
	if err := conforms(r, a); err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

// attempt is one statement of one operation that is to fail.
type attempt struct {
	operation, method, path, column string
	fault                           int
	kind                            storetest.FaultKind
	statement                       string
}

func (a attempt) String() string {
	return fmt.Sprintf("%s by %s, statement %d %s: %.110s", a.operation, a.column, a.fault, a.kind, a.statement)
}

// attempts does each operation once and returns all ways in which one of its
// statements can fail.
func (b *broken) attempts(t *testing.T) (all []attempt) {
	t.Helper()
	for path, item := range contract().Paths.Map() {
		for method, op := range item.Operations() {
			if b.box != nil && !strings.Contains(path, "/auth/") && !strings.Contains(path, "password") &&
				!strings.Contains(path, "invitations") {
				continue // the same without mail
			}
			for _, column := range []string{"owner", "key with every scope"} {
				address, as, body := b.request(t, op.OperationID, path, column)
				f := &storetest.Fault{}
				if got := b.ask(t, f, method, address, as, body); got.status >= 400 {
					continue // not theirs to do
				}
				seen := f.Seen()
				if len(seen) == 0 && !slices.Contains(needNoDatabase, op.OperationID) {
					t.Errorf("%s by %s: no statement was seen", op.OperationID, column)
				}
				for i, statement := range seen {
					kinds := []storetest.FaultKind{storetest.Refused}
					switch {
					case statement == "COMMIT":
						kinds = append(kinds, storetest.Lost)
					case strings.Contains(statement, "SELECT") || strings.Contains(statement, "RETURNING"):
						kinds = append(kinds, storetest.Cut)
					}
					for _, kind := range kinds {
						all = append(all, attempt{op.OperationID, method, path, column, i + 1, kind, statement})
					}
				}
			}
		}
	}
	slices.SortFunc(all, func(x, y attempt) int { return strings.Compare(x.String(), y.String()) })
	return all
}

// try has the statement fail, and holds the answer and the database to the law.
func (b *broken) try(t *testing.T, a attempt) {
	t.Helper()
	address, as, body := b.request(t, a.operation, a.path, a.column)
	before := b.dump.Dump(t)
	f := &storetest.Fault{At: a.fault, Kind: a.kind, Again: slices.Contains(triedTwice, a.operation)}
	got := b.ask(t, f, a.method, address, as, body)
	if !f.Hit() || a.maySucceed() && got.status < 400 {
		return // it took another way this time
	}
	if got.status != http.StatusServiceUnavailable || got.code() != domain.CodeUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%v: got %d %s, want 503 unavailable with Retry-After", a, got.status, got.body)
	}
	if a.kind == storetest.Lost {
		return // it has been done, whole
	}
	if diff := before.Diff(b.dump.Dump(t)); len(diff) > 0 {
		t.Errorf("%v: the database has changed: %s", a, strings.Join(diff, "\n\t"))
	}
	if again := b.ask(t, &storetest.Fault{}, a.method, address, as, body); again.status >= 400 {
		t.Errorf("%v: asked again, got %d %s", a, again.status, again.body)
	}
}

// A statement that fails is never taken for success, nor for "there is none":
// whichever statement of whichever operation it is, the answer is 503 with
// Retry-After, the database is what it was before, and the same request succeeds
// afterwards. A COMMIT whose answer is lost is never reported as done.
func TestEveryStatementFailsOnce(t *testing.T) {
	t.Parallel()
	for engine, database := range storetest.Engines {
		for _, mails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s mail=%v", engine, mails), func(t *testing.T) {
				t.Parallel()
				var box mailbox
				if mails {
					box = make(mailbox, 1000)
				}
				b := newBroken(t, database(t), box)
				all := b.attempts(t)
				tried := all
				if !*long {
					random := rand.New(rand.NewPCG(*faultSeed, 0))
					random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
					tried = all[:min(len(all), faultSample)]
				}
				for _, a := range tried {
					b.try(t, a)
				}
				t.Logf("seed %d: %d of %d statements that can fail", *faultSeed, len(tried), len(all))
			})
		}
	}
}
