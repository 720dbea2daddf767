package repository

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/latchkey-dev/latchkey/domain"
)

// OutgoingMail is an email in the outbox.
type OutgoingMail struct {
	ID        string
	Kind      string
	Payer     []byte // digest of who caused it
	Address   []byte // digest of who gets it
	Sealed    []byte // the content
	Turn      int    // how many emails of the payer were waiting before it
	Tries     int    // how often it was claimed
	CreatedAt time.Time
	ExpiresAt time.Time // when sending is given up
	DueAt     time.Time // when it may be claimed next
	TokenAt   time.Time // when its token was made; zero: not yet
}

type outgoingRow struct {
	bun.BaseModel `bun:"table:outbox,alias:o"`

	ID        string `bun:",pk"`
	Kind      string
	Payer     []byte
	Address   []byte
	Sealed    []byte
	Turn      int
	Tries     int
	CreatedAt micros
	ExpiresAt micros
	DueAt     micros
	TokenAt   micros
}

func (r outgoingRow) mail() OutgoingMail {
	return OutgoingMail{
		ID:        r.ID,
		Kind:      r.Kind,
		Payer:     r.Payer,
		Address:   r.Address,
		Sealed:    r.Sealed,
		Turn:      r.Turn,
		Tries:     r.Tries,
		CreatedAt: r.CreatedAt.Time,
		ExpiresAt: r.ExpiresAt.Time,
		DueAt:     r.DueAt.Time,
		TokenAt:   r.TokenAt.Time,
	}
}

// AddMail puts an email into the outbox, in the transaction that causes it.
// After the commit, MailPosted wakes this process.
func (s *Store) AddMail(ctx context.Context, m OutgoingMail) error {
	row := &outgoingRow{
		ID:        m.ID,
		Kind:      m.Kind,
		Payer:     m.Payer,
		Address:   m.Address,
		Sealed:    m.Sealed,
		Turn:      m.Turn,
		Tries:     m.Tries,
		CreatedAt: micros{m.CreatedAt},
		ExpiresAt: micros{m.ExpiresAt},
		DueAt:     micros{m.DueAt},
		TokenAt:   micros{m.TokenAt},
	}
	if err := s.insert(ctx, row); err != nil {
		return err
	}
	s.afterCommit(s.link.mailPosted)
	return nil
}

// MailPosted receives after this process has posted emails.
func (s *Store) MailPosted() <-chan struct{} { return s.link.posted }

// MailCount counts the emails of the outbox that matter for adding one.
type MailCount struct {
	OfPayer   int // caused by the payer since a time
	OfAddress int // to the address since then
	Waiting   int // caused by the payer and not ended
}

// CountMail counts the emails since a time that a payer caused and those that
// went to an address, whether they have ended or not.
func (s *Store) CountMail(ctx context.Context, payer, address []byte, since time.Time) (n MailCount, err error) {
	err = s.read.NewSelect().Model((*outgoingRow)(nil)).
		ColumnExpr("COUNT(*) FILTER (WHERE o.payer = ?)", payer).
		ColumnExpr("COUNT(*) FILTER (WHERE o.address = ?)", address).
		ColumnExpr("COUNT(*) FILTER (WHERE o.payer = ? AND o.due_at IS NOT NULL)", payer).
		Where("o.created_at > ?", micros{since}).Where("(o.payer = ? OR o.address = ?)", payer, address).
		Scan(ctx, &n.OfPayer, &n.OfAddress, &n.Waiting)
	return n, s.error(err)
}

// HasDueMail reports whether an email could be claimed at now, so that callers
// do not have to write in order to find out.
func (s *Store) HasDueMail(ctx context.Context, now time.Time) (bool, error) {
	found, err := dueMail(s.read.NewSelect(), now).Exists(ctx)
	return found, s.error(err)
}

func dueMail(q *bun.SelectQuery, now time.Time) *bun.SelectQuery {
	return q.Model((*outgoingRow)(nil)).Where("o.due_at <= ?", micros{now}).Where("o.expires_at > ?", micros{now})
}

// ClaimMail returns an email that is due at now and reserves it for this
// process until a time; not_found if there is none. Payers take turns, and busy
// payers are skipped.
func (s *Store) ClaimMail(ctx context.Context, now, until time.Time, busy [][]byte) (OutgoingMail, error) {
	next := dueMail(s.write.NewSelect(), now).Column("o.id").OrderExpr("o.turn, o.due_at").Limit(1)
	if len(busy) > 0 {
		next = next.Where("o.payer NOT IN ?", bun.Tuple(busy))
	}
	var rows []outgoingRow
	_, err := s.write.NewUpdate().Model(&rows).Set("due_at = ?", micros{until}).Set("tries = tries + 1").
		Where("o.id = (?)", s.engine.skipLocked(next)).Where("o.due_at <= ?", micros{now}).Returning("*").Exec(ctx)
	if err != nil {
		return OutgoingMail{}, s.error(err)
	}
	if len(rows) == 0 {
		return OutgoingMail{}, domain.NotFound()
	}
	return rows[0].mail(), nil
}

// RetryMail makes a claimed email due again at a later time; not_found if
// another process has claimed it.
func (s *Store) RetryMail(ctx context.Context, m OutgoingMail, due time.Time) error {
	res, err := s.claimed(m).Set("due_at = ?", micros{due}).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// EndMail ends a claimed email and removes its content; not_found if another
// process has claimed it.
func (s *Store) EndMail(ctx context.Context, m OutgoingMail) error {
	res, err := s.claimed(m).Set("due_at = NULL").Set("sealed = ?", []byte{}).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

// NoteMailToken records that the token of an email has been made.
func (s *Store) NoteMailToken(ctx context.Context, m OutgoingMail, now time.Time) error {
	res, err := s.claimed(m).Set("token_at = ?", micros{now}).Exec(ctx)
	return s.changed(res, err, domain.NotFound())
}

func (s *Store) claimed(m OutgoingMail) *bun.UpdateQuery {
	return s.write.NewUpdate().Model((*outgoingRow)(nil)).Where("o.id = ?", m.ID).Where("o.tries = ?", m.Tries)
}

// ExpireMail removes the emails that could not be sent in time, and returns how
// many there were of each kind.
func (s *Store) ExpireMail(ctx context.Context, now time.Time) (map[string]int, error) {
	var rows []outgoingRow
	_, err := s.write.NewDelete().Model(&rows).Where("o.due_at <= ?", micros{now}).Where("o.expires_at <= ?", micros{now}).
		Returning("kind").Exec(ctx)
	if err != nil {
		return nil, s.error(err)
	}
	kinds := map[string]int{}
	for _, row := range rows {
		kinds[row.Kind]++
	}
	return kinds, nil
}

// ForgetMail removes the emails that have ended and were posted before a time.
func (s *Store) ForgetMail(ctx context.Context, before time.Time) error {
	_, err := s.write.NewDelete().Model((*outgoingRow)(nil)).Where("o.due_at IS NULL").Where("o.created_at <= ?", micros{before}).Exec(ctx)
	return s.error(err)
}

// WaitingMail returns how many emails wait, and since when the oldest one
// waits; the zero time if none does.
func (s *Store) WaitingMail(ctx context.Context) (count int, oldest time.Time, err error) {
	var at micros
	err = s.read.NewSelect().Model((*outgoingRow)(nil)).ColumnExpr("COUNT(*), MIN(o.created_at)").
		Where("o.due_at IS NOT NULL").Scan(ctx, &count, &at)
	return count, at.Time, s.error(err)
}
