package meter

import (
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// mostReported bounds the tokens whose reported uses are in memory between two takes,
// some 30 MB. Uses of more are not counted.
const mostReported = 100_000

// reported are uses that clients have answered themselves.
type reported struct {
	mu     sync.Mutex
	counts map[domain.UsageCount]int64 // by everything other than the count
	uses   map[domain.TokenID]domain.Use
}

func newReported() *reported {
	return &reported{counts: map[domain.UsageCount]int64{}, uses: map[domain.TokenID]domain.Use{}}
}

// Report counts uses of a token that a client has answered itself.
func (m *Meter) Report(u domain.ReportedUse) {
	r := m.reported
	r.mu.Lock()
	defer r.mu.Unlock()
	count := domain.UsageCount{
		OrganizationID: u.OrganizationID,
		ProjectID:      u.ProjectID,
		KeyID:          u.KeyID,
		ExternalID:     u.ExternalID,
		Environment:    u.Environment,
		Outcome:        domain.OutcomeReported,
	}
	if _, known := r.counts[count]; known || len(r.counts) < mostReported {
		r.counts[count] += u.Count
	}
	r.use(domain.Use{
		ProjectID: u.ProjectID,
		KeyID:     u.KeyID,
		TokenID:   u.TokenID,
		First:     u.Last,
		Last:      u.Last,
	})
}

// use notes when a token was used, and the earliest and the latest of several.
func (r *reported) use(u domain.Use) {
	known, ok := r.uses[u.TokenID]
	if !ok && len(r.uses) >= mostReported {
		return
	}
	if ok {
		u.First, u.Last = earlier(known.First, u.First), later(known.Last, u.Last)
	}
	r.uses[u.TokenID] = u
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// takeReported returns the counts since the last call.
func (r *reported) takeReported() (counts []domain.UsageCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for count, n := range r.counts {
		count.Count = n
		counts = append(counts, count)
	}
	clear(r.counts)
	return counts
}

// TakeReported returns when tokens were used whose uses were reported since the last
// call.
func (m *Meter) TakeReported() (uses []domain.Use) {
	m.reported.mu.Lock()
	defer m.reported.mu.Unlock()
	for _, u := range m.reported.uses {
		uses = append(uses, u)
	}
	clear(m.reported.uses)
	return uses
}

// PutReportedBack returns uses that could not be written.
func (m *Meter) PutReportedBack(uses []domain.Use) {
	m.reported.mu.Lock()
	defer m.reported.mu.Unlock()
	for _, u := range uses {
		m.reported.use(u)
	}
}
