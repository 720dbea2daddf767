package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/mail"
)

const (
	mailWorkers = 8                // emails under way at a time, on a node
	mailOfOne   = 2                // of them, those that one payer caused
	mailTime    = 35 * time.Second // for one try, the conversation with the server and the token included
	mailLease   = 60 * time.Second // how long no other node takes an email that is under way; after a crash it waits as long
	mailPoll    = 2 * time.Second  // how often the outbox is looked at for retries and what other nodes left behind
	mailGoodbye = 10 * time.Second // for those under way when the program ends
	mailPause   = 5 * time.Second  // before the second try; four times as long before each further one
	mailPauses  = 15 * time.Minute // at most
)

// sendMails sends what is posted until ctx ends; what is under way then is given
// a moment to end. All nodes share the work: an email is claimed, and one whose
// node died is claimed again after the lease.
func (a *App) sendMails(ctx context.Context) {
	if !a.mailing.sends {
		return
	}
	var underWay sync.WaitGroup
	defer underWay.Wait()
	places := make(chan struct{}, mailWorkers)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		m, err := a.claimMail(ctx)
		if err == nil {
			underWay.Go(func() {
				a.sendMail(ctx, m)
				<-places
			})
			continue
		}
		<-places
		if domain.CodeOf(err) != domain.CodeNotFound && ctx.Err() == nil {
			a.log.WarnContext(ctx, "the outbox cannot be read and will be looked at again", "error", err)
		}
		select {
		case <-a.store.MailPosted():
		case <-a.mailing.free:
		case <-time.After(mailPoll):
		case <-ctx.Done():
			return
		}
	}
}

// SendMails sends what is due now. Programs that do not Run may call it before
// they end.
func (a *App) SendMails(ctx context.Context) {
	for a.mailing.sends {
		m, err := a.claimMail(ctx)
		if err != nil {
			return
		}
		a.sendMail(ctx, m)
	}
}

// claimMail takes an email that is due, of a payer who has not enough under way.
func (a *App) claimMail(ctx context.Context) (repository.OutgoingMail, error) {
	now := a.now()
	if due, err := a.store.HasDueMail(ctx, now); err != nil || !due {
		return repository.OutgoingMail{}, errors.Join(err, notDue(due))
	}
	a.mailing.mu.Lock()
	var busy [][]byte
	for payer, n := range a.mailing.busy {
		if n >= mailOfOne {
			busy = append(busy, []byte(payer))
		}
	}
	a.mailing.mu.Unlock()
	m, err := a.store.ClaimMail(ctx, now, now.Add(mailLease), busy)
	if err == nil {
		a.mailing.count(m, 1)
	}
	return m, err
}

func notDue(due bool) error {
	if due {
		return nil
	}
	return domain.NotFound()
}

// count notes that an email is under way, or is no longer.
func (m *mailing) count(of repository.OutgoingMail, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	payer := string(of.Payer)
	if m.busy[payer] += n; m.busy[payer] == 0 {
		delete(m.busy, payer)
	}
	select {
	case m.free <- struct{}{}:
	default: // noticed already
	}
}

// sendMail tries once to deliver an email that was claimed, and notes what came
// of it.
func (a *App) sendMail(ctx context.Context, m repository.OutgoingMail) {
	defer a.mailing.count(m, -1)
	ending, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(mailGoodbye, end) })()
	trying, cancel := context.WithTimeout(ending, mailTime)
	defer cancel()
	sent, err := a.deliver(trying, m)
	switch {
	case err == nil:
		if sent {
			a.mailing.sent.Add(1)
		}
		a.settle(ending, func(ctx context.Context) error { return a.store.EndMail(ctx, m) })
	case mail.IsFinal(err):
		a.mailing.failed[mail.ClassOf(err)].Add(1)
		a.log.ErrorContext(ctx, "an email could not be delivered", "mail", m.Kind, "tries", m.Tries, "error", err)
		a.settle(ending, func(ctx context.Context) error { return a.store.EndMail(ctx, m) })
	default:
		a.mailing.retried.Add(1)
		due := a.now().Add(pauseAfter(m.Tries))
		if due.After(m.ExpiresAt) {
			due = m.ExpiresAt
		}
		a.log.WarnContext(ctx, "an email could not be delivered yet and will be tried again", "mail", m.Kind, "tries", m.Tries, "error",
			err)
		a.settle(ending, func(ctx context.Context) error { return a.store.RetryMail(ctx, m, due) })
	}
}

// pauseAfter is how long an email waits after so many tries, a little at random,
// so that those which failed together do not all come back together.
func pauseAfter(tries int) time.Duration {
	pause := mailPause
	for range min(tries-1, 10) {
		pause = min(pause*4, mailPauses)
	}
	return pause + rand.N(pause/4) //nolint:gosec // chance is enough here
}

// settle notes the result of an attempt to send an email. While the database is out of reach it is
// tried again, since an email that is sent and not noted would be sent twice.
func (a *App) settle(ctx context.Context, note func(context.Context) error) {
	for {
		err := note(ctx)
		if err == nil || domain.CodeOf(err) == domain.CodeNotFound { // or the lease has passed to another node
			return
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// deliver writes an email and hands it over. It reports false when nothing is to
// be sent, as for an address without an account.
func (a *App) deliver(ctx context.Context, m repository.OutgoingMail) (sent bool, err error) {
	e, err := a.openErrand(m)
	if err != nil {
		return false, mail.Fail(mail.Unreadable, "its row in the outbox was not written with this master key, or has been altered")
	}
	letter := e.Letter
	if letter == nil {
		write, ok := writers[m.Kind]
		if !ok {
			return false, errors.New("a newer version has posted it") // whose nodes will send it
		}
		if letter, err = write(ctx, a, m, e.To); err != nil || letter == nil {
			return false, err
		}
	}
	message, err := letter.Write()
	if err != nil {
		return false, mail.Fail(mail.Unreadable, "it could not be written")
	}
	return true, a.mailing.mailer.Send(ctx, message)
}
