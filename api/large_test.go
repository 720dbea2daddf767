package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// importOf is the body of an import with rows that are alike, filled up with
// spaces to size bytes.
func importOf(row string, rows, size int) string {
	text := `{"keys": [` + row + strings.Repeat(","+row, rows-1) + `]}`
	return text + strings.Repeat(" ", max(0, size-len(text)))
}

const goodRow = `{"name":"k","algorithm":"sha256-hex","hash":"0000000000000000000000000000000000000000000000000000000000000000"}`

// Guarantees that an import may be larger than other requests, and not larger
// than 16 MiB and 10,000 rows.
func TestImportSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	send := func(body string) answer { return w.call(t, "POST", n.path("/keys/import"), n.owner.as, body) }
	var result api.ImportResult
	send(importOf(goodRow, 10_000, 16<<20)).want(t, http.StatusOK, &result)
	if result.Imported != 1 || result.Unchanged != 9_999 {
		t.Errorf("got %d imported, %d unchanged, want one and the rest", result.Imported, result.Unchanged)
	}
	got := fieldsOf(t, send(importOf(goodRow, 10_001, 0)).fails(t, http.StatusUnprocessableEntity, failed))
	if want := (domain.FieldError{Pointer: "/keys", Detail: "must have at most 10000 entries"}); len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
	send(strings.Repeat(" ", 16<<20+1)).fails(t, http.StatusRequestEntityTooLarge, tooLarge)
	w.call(t, "POST", n.path("/keys"), n.owner.as, strings.Repeat(" ", 64<<10+1)).fails(t, http.StatusRequestEntityTooLarge, tooLarge)
}

// Guarantees that an answer does not grow with what is wrong: it names a
// thousand errors and counts the others.
func TestImportErrorsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	var result api.ImportResult
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, importOf(`{}`, 10_000, 0)).want(t, http.StatusOK, &result)
	last := result.Errors[len(result.Errors)-1]
	if want := (api.FieldProblem{Pointer: "/keys", Detail: "and 19000 more"}); len(result.Errors) != 1001 || last != want {
		t.Errorf("got %d errors, the last one %v, want 1001 and %v", len(result.Errors), last, want)
	}
	long := fmt.Sprintf(`{"name":"k","scopes":["a:b"%s]}`, strings.Repeat(`,"a:b"`, 11_000))
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, `{"keys":[`+long+`,`+goodRow+`]}`).want(t, http.StatusOK, &result)
	if want := (api.FieldProblem{Pointer: "/keys/0", Detail: "is longer than 65536 bytes"}); result.Imported != 1 ||
		len(result.Errors) != 1 || result.Errors[0] != want {
		t.Errorf("got %d imported and %v, want 1 and %v", result.Imported, result.Errors, want)
	}
}

// unread fails the test when a body is read before it is known who sends it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// Guarantees that a caller who may not import sends no large body into memory:
// who may is asked first.
func TestLargeBodiesOfStrangersAreNotRead(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for column, want := range map[string]int{
		"anonymous": http.StatusUnauthorized, "stranger": http.StatusNotFound, "viewer": http.StatusForbidden,
		"key with every scope": http.StatusForbidden, "revoked key": http.StatusUnauthorized,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", s.home.path("/keys/import"), unread{t})
		r.ContentLength = 16 << 20
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Expect", "100-continue") // else a refused body is read to its end, into nothing
		s.as[column](r.Header)
		if got := s.send(t, r); got.status != want {
			t.Errorf("%s: got %d, want %d", column, got.status, want)
		}
	}
}

// Guarantees that one user's large bodies keep no other user's out of memory's
// few places, and that who leaves takes none.
func TestLargeBodiesTakeTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, grace := w.tenant(t, "ada"), w.tenant(t, "grace")
	body := importOf(goodRow, 1, 128<<10)

	slow, sender := io.Pipe()
	done := make(chan answer)
	go func() {
		r := httptest.NewRequestWithContext(context.Background(), "POST", ada.path("/keys/import"), slow)
		r.Header.Set("Content-Type", "application/json")
		ada.owner.as(r.Header)
		done <- w.send(t, r)
	}()
	if _, err := io.WriteString(sender, body[:100<<10]); err != nil { // over 64 KiB have been taken, so it has its place
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(gone, "POST", ada.path("/keys/import"), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	ada.owner.as(r.Header)
	if got := w.send(t, r); got.status != http.StatusServiceUnavailable {
		t.Errorf("a second one of the same user: got %d, want it to wait for its turn", got.status)
	}
	w.call(t, "POST", grace.path("/keys/import"), grace.owner.as, body).want(t, http.StatusOK, nil)
	if _, err := io.WriteString(sender, body[100<<10:]); err != nil {
		t.Fatal(err)
	}
	if err := sender.Close(); err != nil {
		t.Fatal(err)
	}
	(<-done).want(t, http.StatusOK, nil)
	w.call(t, "POST", ada.path("/keys/import"), ada.owner.as, body).want(t, http.StatusOK, nil)
}

// Guarantees that a body which trickles in keeps its place for large bodies from no
// one for long: its sender is refused, and the next body gets the place.
func TestTrickledBodyLosesItsPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.tenant(t, "ada")
	server := httptest.NewUnstartedServer(w.echo)
	server.Config.ReadTimeout = 30 * time.Second // as serve has it
	server.Start()
	defer server.Close()
	body := importOf(goodRow, 1, 128<<10)
	slow, sender := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+n.path("/keys/import"), slow)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	n.owner.as(r.Header)
	answered := make(chan int, 1)
	go func() {
		defer close(answered)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		answered <- answer.StatusCode
		_ = answer.Body.Close()
	}()
	if _, err := io.WriteString(sender, body[:100<<10]); err != nil {
		t.Fatal(err)
	}
	w.waitForPlaceTaken(t, n.owner)
	go func() {
		for i := 100 << 10; i < len(body); i++ { // a byte in ten milliseconds takes five minutes
			<-time.After(10 * time.Millisecond)
			if _, err := sender.Write([]byte(body[i : i+1])); err != nil {
				return
			}
		}
	}()
	w.call(t, "POST", n.path("/keys/import"), n.owner.as, body).want(t, http.StatusOK, nil)
	if got := <-answered; got != http.StatusBadRequest {
		t.Errorf("the slow sender got %d, want 400", got)
	}
	_ = slow.Close()
}

// waitForPlaceTaken returns when a user's place for a large body is taken.
func (w *world) waitForPlaceTaken(t *testing.T, p person) {
	t.Helper()
	user, err := w.App.ProveUser(t.Context(), p.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	servicetest.Eventually(t, "the place is taken", func() bool {
		free, err := w.App.LargeBody(gone, domain.NewPrincipal(nil, user, domain.Origin{}))
		if err == nil {
			free()
		}
		return err != nil
	})
}
