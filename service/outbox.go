package service

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service/mail"
)

// Mailer delivers email to people.
type Mailer interface {
	// Send hands an email over. Its error must say nothing of what is in it; one
	// that is a final *mail.Failure ends the email, after all others it is tried
	// again.
	Send(ctx context.Context, m mail.Message) error
}

// What the outbox holds at most. What is counted are requests, not what became
// of them: a full outbox must not tell which addresses have an account.
const (
	mailWindow       = time.Hour // over which emails are counted, and how long the rows of ended ones stay
	mailsOfPayer     = 500       // caused by one network or one person
	mailsOfAddress   = 20        // to one address, of one kind: others' invitations keep no new password away
	mailsWaiting     = 20_000    // of the instance; beyond, only those who have signed in cause email
	mailWaitingEvery = 10 * time.Second
)

// errand is an email as it waits in the outbox, sealed.
type errand struct {
	To     string       `json:"to"`
	Letter *mail.Letter `json:"letter,omitempty"` // nil: writers writes it when it is sent
}

// posting is an email that is to be sent.
type posting struct {
	kind   string
	to     string
	letter *mail.Letter  // nil: one of writers writes it when it is sent
	payer  string        // who causes it: a network, or a person who has signed in
	known  bool          // the payer has proved who they are
	notice bool          // of what was done to an account; counted apart, so that a flood of others keeps none away
	good   time.Duration // how long it makes sense to send it
}

// mailing has what a node knows about the outbox.
type mailing struct {
	mailer Mailer
	on     bool // a mail server is set up, so addresses are verified
	sends  bool // the node sends email, or shows it to the person at the terminal

	waiting atomic.Int64 // emails in the outbox, a few seconds ago
	oldest  atomic.Int64 // when the oldest was posted, in Unix microseconds; 0: none
	sent    atomic.Int64
	retried atomic.Int64
	failed  map[mail.Class]*atomic.Int64

	mu   sync.Mutex
	busy map[string]int // emails under way here, by payer
	free chan struct{}  // one of them has ended
}

func newMailing(o Options, log *slog.Logger) *mailing {
	m := &mailing{
		mailer: o.Mailer,
		on:     o.Mailer != nil,
		sends:  o.Mailer != nil || o.Terminal != nil,
		failed: map[mail.Class]*atomic.Int64{},
		busy:   map[string]int{},
		free:   make(chan struct{}, 1),
	}
	for _, class := range mail.Classes {
		m.failed[class] = new(atomic.Int64)
	}
	if m.mailer == nil {
		m.mailer = mail.Log{Log: log, Terminal: o.Terminal}
	}
	return m
}

// SendsEmail reports whether email reaches people, which means that a mail server is
// set up.
func (a *App) SendsEmail() bool { return a.mailing.on }

// MailShown reports whether email is shown to the person at the terminal, since
// no mail server is set up.
func (a *App) MailShown() bool { return a.mailing.sends && !a.mailing.on }

// MailStats is what has become of the emails of this node, and what waits in the
// outbox of the instance.
type MailStats struct {
	Waiting   int64
	OldestAge time.Duration // 0: none waits
	Sent      int64
	Retried   int64 // tries after which an email waits for another one
	Failed    map[mail.Class]int64
}

// MailStats returns the counts for the metrics.
func (a *App) MailStats() MailStats {
	m := a.mailing
	s := MailStats{Waiting: m.waiting.Load(), Sent: m.sent.Load(), Retried: m.retried.Load(), Failed: map[mail.Class]int64{}}
	if oldest := m.oldest.Load(); oldest != 0 {
		s.OldestAge = max(0, a.now().Sub(time.UnixMicro(oldest)))
	}
	for class, n := range m.failed {
		s.Failed[class] = n.Load()
	}
	return s
}

// post puts an email into the outbox in the transaction tx, so that it is sent
// if and only if what causes it is committed. For emails that strangers cause it
// must be called alike whether or not there is an account: then neither its time
// nor its answer tells. An address that is sent too much gets nothing more, and
// the answer is the same; a network that causes too much gets rate_limited.
func (a *App) post(ctx context.Context, tx *repository.Store, p posting) error {
	if !a.mailing.sends {
		a.log.InfoContext(ctx, "an email was not sent, since no mail server is set up", "mail", p.kind)
		return nil
	}
	if !p.known && a.mailing.waiting.Load() > mailsWaiting {
		return domain.Unavailable(errors.New("too many emails are waiting"))
	}
	now := a.now()
	m := repository.OutgoingMail{
		ID:        rand.Text(),
		Kind:      p.kind,
		Payer:     a.keyring.outbox.sum("payer", p.payer),
		Address:   a.keyring.outbox.sum("address", p.kind, p.to),
		CreatedAt: now,
		ExpiresAt: now.Add(p.good),
		DueAt:     now,
	}
	if p.notice {
		m.Address = a.keyring.outbox.sum("notified", p.to)
	}
	count, err := tx.CountMail(ctx, m.Payer, m.Address, now.Add(-mailWindow))
	if err != nil {
		return err
	}
	if count.OfAddress >= mailsOfAddress || p.known && count.OfPayer >= mailsOfPayer {
		a.log.WarnContext(ctx, "an email was not sent, because there were too many to this address or from this sender", "mail", p.kind)
		return nil
	}
	if count.OfPayer >= mailsOfPayer {
		return errTooMuchMail(mailWindow)
	}
	m.Turn = count.Waiting
	plain, err := json.Marshal(errand{To: p.to, Letter: p.letter})
	if err != nil {
		return err
	}
	m.Sealed = a.keyring.seal(plain, mailPurpose(m))
	return tx.AddMail(ctx, m)
}

// mailPurpose binds what is sealed to its row.
func mailPurpose(m repository.OutgoingMail) string { return "outbox/" + m.Kind + "/" + m.ID }

func (a *App) openErrand(m repository.OutgoingMail) (e errand, err error) {
	plain, err := a.keyring.unseal(m.Sealed, mailPurpose(m))
	return e, cmp.Or(err, json.Unmarshal(plain, &e))
}

// mayMail reports whether one more email of a kind that others can cause is not
// too many for an address, and counts it. An invitation is counted for the payer,
// too: those of one person keep no others' away.
func (a *App) mayMail(kind, to, payer string) bool {
	now := a.now()
	if a.throttle.wait(mailsToAddress, now, "mail", kind, to, payer) > 0 {
		return false
	}
	a.throttle.count(mailsToAddress, now, "", "mail", kind, to, payer)
	return true
}

// mayCauseMail returns rate_limited when a network has caused too many emails.
func (a *App) mayCauseMail(from domain.Origin) error {
	now, address := a.now(), network(from.IP)
	if wait := a.throttle.wait(mailsFromNetwork, now, "mailed", address); wait > 0 {
		return errTooMuchMail(wait)
	}
	a.throttle.count(mailsFromNetwork, now, address, "mailed", address)
	return nil
}

func errTooMuchMail(wait time.Duration) error {
	return &domain.Error{
		Code: domain.CodeRateLimited, RetryAfter: wait,
		Detail: "Too many emails have been requested from your network. Wait before you try again.",
	}
}

// tidyMail looks at what waits in the outbox, gives up what has waited too long
// and forgets what has ended.
func (a *App) tidyMail(ctx context.Context) error {
	now := a.now()
	expired, err := a.store.ExpireMail(ctx, now)
	if err != nil {
		return err
	}
	for kind, n := range expired {
		a.mailing.failed[mail.Expired].Add(int64(n))
		a.log.ErrorContext(ctx, "emails could not be delivered in their time and were given up", "mail", kind, "count", n)
	}
	if err := a.store.ForgetMail(ctx, now.Add(-mailWindow)); err != nil {
		return err
	}
	count, oldest, err := a.store.WaitingMail(ctx)
	if err != nil {
		return err
	}
	a.mailing.waiting.Store(int64(count))
	a.mailing.oldest.Store(0)
	if !oldest.IsZero() {
		a.mailing.oldest.Store(oldest.UnixMicro())
	}
	return nil
}
