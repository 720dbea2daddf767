package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
)

// outgoing is an email that a payer caused, due some time after epoch.
func outgoing(id string, payer byte, turn int, due time.Duration) repository.OutgoingMail {
	return repository.OutgoingMail{
		ID:        id,
		Kind:      "verify_email",
		Payer:     []byte{payer},
		Address:   []byte{9, payer},
		Sealed:    []byte("sealed " + id),
		Turn:      turn,
		CreatedAt: epoch,
		ExpiresAt: epoch.Add(time.Hour),
		DueAt:     epoch.Add(due),
	}
}

// testOutbox guarantees that an email is claimed by one process at a time, that
// payers take turns, and that an email ends once.
func testOutbox(t *testing.T, s *repository.Store) {
	ctx := t.Context()
	due := func(at time.Duration, want bool) {
		t.Helper()
		got, err := s.HasDueMail(ctx, epoch.Add(at))
		equal(t, got, want, err)
	}
	claim := func(at time.Duration, want string, busy ...byte) repository.OutgoingMail {
		t.Helper()
		var payers [][]byte
		for _, payer := range busy {
			payers = append(payers, []byte{payer})
		}
		m, err := s.ClaimMail(ctx, epoch.Add(at), epoch.Add(at+time.Minute), payers)
		if want == "" {
			code(t, err, domain.CodeNotFound)
			return m
		}
		equal(t, m.ID, want, err)
		return m
	}
	waiting := func(want int, since time.Time) {
		t.Helper()
		n, oldest, err := s.WaitingMail(ctx)
		equal(t, n, want, err)
		equal(t, oldest, since, nil)
	}
	due(0, false)
	waiting(0, time.Time{})
	claim(0, "")
	for _, m := range []repository.OutgoingMail{
		outgoing("first", 1, 0, 0), outgoing("second", 1, 1, -time.Second), outgoing("of another", 2, 0, time.Second),
		outgoing("later", 3, 0, time.Minute),
	} {
		check(t, s.AddMail(ctx, m))
	}
	waiting(4, epoch)
	due(-time.Second-time.Microsecond, false)
	due(-time.Second, true)
	due(time.Hour, false) // expired

	// The first of each payer comes before the second of any.
	first := claim(time.Second, "first")
	want := outgoing("first", 1, 0, time.Second+time.Minute)
	want.Tries = 1
	equal(t, first, want, nil)
	claim(time.Second, "second", 2)
	claim(time.Second, "", 2)
	claim(time.Second, "of another", 1)
	claim(time.Second, "")

	// Who claimed it and was too slow has lost it to the next.
	claim(2*time.Minute, "later")
	again := claim(2*time.Minute, "first", 3, 2)
	code(t, s.RetryMail(ctx, first, epoch), domain.CodeNotFound)
	code(t, s.EndMail(ctx, first), domain.CodeNotFound)
	code(t, s.NoteMailToken(ctx, first, epoch), domain.CodeNotFound)
	check(t, s.NoteMailToken(ctx, again, epoch.Add(time.Millisecond)))
	check(t, s.RetryMail(ctx, again, epoch.Add(4*time.Minute)))
	claim(4*time.Minute-time.Microsecond, "", 2, 3, 1)
	claim(4*time.Minute-time.Microsecond, "of another", 3)
	again = claim(4*time.Minute, "first", 2, 3)
	equal(t, again.TokenAt, epoch.Add(time.Millisecond), nil)
	equal(t, again.Tries, 3, nil)

	// What has ended keeps no content and is not claimed, but counts.
	check(t, s.EndMail(ctx, again))
	n, err := s.CountMail(ctx, []byte{1}, []byte{9, 2}, epoch.Add(-time.Microsecond))
	equal(t, n, repository.MailCount{OfPayer: 2, OfAddress: 1, Waiting: 1}, err)
	n, err = s.CountMail(ctx, []byte{1}, []byte{9, 2}, epoch)
	equal(t, n, repository.MailCount{}, err)
	waiting(3, epoch)

	check(t, s.ForgetMail(ctx, epoch.Add(-time.Microsecond)))
	n, err = s.CountMail(ctx, []byte{1}, []byte{9, 1}, epoch.Add(-time.Microsecond))
	equal(t, n, repository.MailCount{OfPayer: 2, OfAddress: 2, Waiting: 1}, err)
	check(t, s.ForgetMail(ctx, epoch))
	n, err = s.CountMail(ctx, []byte{1}, []byte{9, 1}, epoch.Add(-time.Microsecond))
	equal(t, n, repository.MailCount{OfPayer: 1, OfAddress: 1, Waiting: 1}, err)

	kinds, err := s.ExpireMail(ctx, epoch.Add(time.Hour-time.Microsecond))
	equal(t, kinds, map[string]int{}, err)
	kinds, err = s.ExpireMail(ctx, epoch.Add(time.Hour))
	equal(t, kinds, map[string]int{"verify_email": 3}, err)
	waiting(0, time.Time{})
}

// testPostedMail guarantees that a process is woken by an email that was posted,
// when the email can be claimed.
func testPostedMail(t *testing.T, s *repository.Store) {
	woken := func() bool {
		select {
		case <-s.MailPosted():
			return true
		default:
			return false
		}
	}
	equal(t, woken(), false, nil)
	check(t, s.InTx(t.Context(), func(ctx context.Context, tx *repository.Store) error {
		check(t, tx.AddMail(ctx, outgoing("together", 1, 0, 0)))
		equal(t, woken(), false, nil)
		return nil
	}))
	equal(t, woken(), true, nil)
	check(t, s.AddMail(t.Context(), outgoing("alone", 1, 0, 0)))
	equal(t, woken(), true, nil)
	equal(t, woken(), false, nil)
}
