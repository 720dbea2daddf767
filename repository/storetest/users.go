package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

func testUsers(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	code(t, s.CreateUser(ctx, domain.User{ID: "usr_2", Email: ann.Email, Status: domain.Active, CreatedAt: epoch}, ""), domain.CodeConflict)
	ann.Name, ann.EmailVerified = "Ann O'Hara \\ \"?\"", true
	check(t, s.UpdateUser(ctx, ann))
	check(t, s.SetPassword(ctx, ann.ID, "$argon2id$new"))
	got, hash, err := s.GetUserByEmail(ctx, ann.Email)
	equal(t, got, ann, err)
	equal(t, hash, "$argon2id$new", nil)
	_, err = s.GetUser(ctx, "usr_none")
	code(t, err, domain.CodeNotFound)
	code(t, s.UpdateUser(ctx, domain.User{ID: "usr_none", Status: domain.Active}), domain.CodeNotFound)
	n, err := s.CountUsers(ctx)
	equal(t, n, 1, err)
}

func testSessions(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann := newUser(t, s, "ann@example.com")
	session := func() domain.Session {
		v := domain.Session{
			ID: domain.NewID[domain.SessionID](epoch), UserID: ann.ID, CreatedAt: epoch, LastUsedAt: epoch, ExpiresAt: epoch.Add(time.Hour),
			IP: "192.0.2.1", UserAgent: "curl", RefreshDigest: []byte("first"), PreviousDigest: []byte{},
		}
		check(t, s.CreateSession(ctx, v))
		return v
	}
	one, two := session(), session()
	got, err := s.CallingUser(ctx, one.ID)
	equal(t, got, domain.CallingUser{User: ann, Session: one}, err)

	// If many exchange the same token at the same time, one wins.
	var wins sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := s.RotateRefresh(ctx, one.ID, []byte("first"), fmt.Append(nil, i), epoch.Add(time.Second))
			if err == nil {
				wins.Store(i, true)
			} else {
				code(t, err, domain.CodeConflict)
			}
		})
	}
	wg.Wait()
	winners := 0
	wins.Range(func(any, any) bool { winners++; return true })
	equal(t, winners, 1, nil)

	n, err := s.DeleteSessions(ctx, ann.ID, one.ID)
	equal(t, n, 1, err)
	_, err = s.CallingUser(ctx, two.ID)
	code(t, err, domain.CodeNotFound)
	code(t, s.DeleteSession(ctx, "usr_other", one.ID), domain.CodeNotFound)
	check(t, s.DeleteSession(ctx, ann.ID, one.ID))
}

// testMailedTokens guarantees that a mailed token is valid once, for its
// purpose, until it expires, and not after the password that it should replace
// has changed.
func testMailedTokens(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	ann, bob := newUser(t, s, "ann@example.com"), newUser(t, s, "bob@example.com")
	add := func(u domain.User, digest string) {
		check(t, s.AddMailedToken(ctx, u.ID, "reset", []byte(digest), epoch.Add(time.Hour)))
	}
	owner := func(digest string, at time.Time, want domain.Code) {
		t.Helper()
		_, err := s.UserByMailedToken(ctx, "reset", []byte(digest), at)
		code(t, err, want)
	}
	add(ann, "one")
	add(ann, "two")
	add(bob, "three")
	id, err := s.UserByMailedToken(ctx, "reset", []byte("one"), epoch)
	equal(t, id, ann.ID, err)
	_, err = s.UserByMailedToken(ctx, "verify", []byte("one"), epoch)
	code(t, err, domain.CodeNotFound)
	owner("one", epoch.Add(time.Hour), domain.CodeNotFound)

	check(t, s.UseMailedToken(ctx, ann.ID, "reset", []byte("one")))
	code(t, s.UseMailedToken(ctx, ann.ID, "reset", []byte("one")), domain.CodeNotFound)
	owner("two", epoch, domain.CodeNotFound) // goes with the other
	add(ann, "four")
	check(t, s.SetPassword(ctx, ann.ID, "new"))
	owner("four", epoch, domain.CodeNotFound)
	check(t, s.ForgetMailedTokens(ctx, epoch.Add(time.Hour-time.Microsecond)))
	owner("three", epoch, "")
	check(t, s.ForgetMailedTokens(ctx, epoch.Add(time.Hour)))
	owner("three", epoch, domain.CodeNotFound)
}
