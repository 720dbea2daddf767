package meter

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

var asking = domain.Project{ID: "prj_01jpbsqxdefghjkmnpqrstvwxy", OrganizationID: "org_01jpbsqxdefghjkmnpqrstvwxy"}

// byTag sums up counts by tag.
func byTag(counts []domain.UsageCount) map[string]int64 {
	sums := map[string]int64{}
	for _, c := range counts {
		sums[c.Tag] += c.Count
	}
	return sums
}

// Each outcome of a tag is counted for the project that asked, and taken once.
func TestTags(t *testing.T) {
	t.Parallel()
	m := New()
	for _, outcome := range domain.Outcomes {
		m.CountTag(asking, "chat", outcome)
		m.CountTag(asking, "chat", outcome)
	}
	m.CountTag(asking, "chat", "a code that is no outcome")
	want := map[domain.UsageCount]int64{}
	for _, outcome := range domain.Outcomes {
		want[domain.UsageCount{OrganizationID: asking.OrganizationID, ProjectID: asking.ID, Tag: "chat", Outcome: outcome}] = 2
	}
	want[domain.UsageCount{
		OrganizationID: asking.OrganizationID, ProjectID: asking.ID, Tag: "chat", Outcome: domain.OutcomeOther,
	}]++
	if diff := cmp.Diff(want, sum(m.TakeTags(now))); diff != "" {
		t.Error(diff)
	}
	if again := m.TakeTags(now); len(again) > 0 || len(m.Take()) > 0 {
		t.Errorf("got %v again", again)
	}
}

// Guarantees that a client that sends ever new tags takes the memory and the rows of a
// hundred of them a day, that its other tags are counted together, and that another
// project loses no tag by it.
func TestTagsAreBounded(t *testing.T) {
	t.Parallel()
	m := New()
	send := func(from, to int) {
		for i := range to - from {
			m.CountTag(asking, fmt.Sprint(from+i), domain.OutcomeValid)
		}
	}
	send(0, 70)
	if got := byTag(m.TakeTags(now)); len(got) != 70 {
		t.Errorf("got %d tags, want 70", len(got))
	}
	send(0, 5000) // written or not, 30 more have a place on this day
	neighbor := domain.Project{ID: "prj_01jpbsqxdefghjkmnpqrstvwxz"}
	m.CountTag(neighbor, "mine", domain.OutcomeValid)
	got := byTag(m.TakeTags(now.Add(time.Hour)))
	if len(got) != 102 || got["99"] != 1 || got["mine"] != 1 || got[domain.OtherTag] != 4900 || m.tags.known.Load() != 102 {
		t.Errorf("got %d tags of %d, of which %d are counted as other", len(got), m.tags.known.Load(), got[domain.OtherTag])
	}

	send(200, 220)
	if got := byTag(m.TakeTags(now.AddDate(0, 0, 1))); len(got) != 1 || got[domain.OtherTag] != 20 {
		t.Errorf("got %v, want those of the last day, whose places were taken", got)
	}
	send(220, 240) // of the new day, which has only the place of the others
	if got := byTag(m.TakeTags(now.AddDate(0, 0, 1))); len(got) != 20 {
		t.Errorf("got %v, want the tags of the new day", got)
	}
	m.TakeTags(now.AddDate(0, 0, 2))
	for i := range m.tags.shards {
		if of := m.tags.shards[i].of; len(of) > 0 {
			t.Errorf("got %v after a day without a tag", of)
		}
	}
	if m.tags.known.Load() != 0 {
		t.Errorf("got %d tags after a day without one", m.tags.known.Load())
	}

	m.tags.known.Store(tagsInAll) // of other projects
	m.CountTag(asking, "late", domain.OutcomeValid)
	if diff := cmp.Diff(map[string]int64{domain.OtherTag: 1}, byTag(m.TakeTags(now))); diff != "" {
		t.Error(diff)
	}
}

// Guarantees that each use of a tag is taken exactly once while requests count and
// others take.
func TestEveryTagIsTakenOnce(t *testing.T) {
	t.Parallel()
	m := New()
	const workers, rounds = 4, 5000
	var counting sync.WaitGroup
	for range workers {
		counting.Go(func() {
			for i := range rounds {
				m.CountTag(asking, fmt.Sprint(i%150), domain.OutcomeValid)
			}
		})
	}
	done := make(chan struct{})
	go func() { counting.Wait(); close(done) }()
	total := int64(0)
	for days, counted := 0, false; !counted; days++ {
		select {
		case <-done:
			counted = true
		default:
		}
		for _, n := range byTag(m.TakeTags(now.AddDate(0, 0, days))) {
			total += n
		}
	}
	if total != workers*rounds {
		t.Errorf("got %d, want %d", total, workers*rounds)
	}
}

// Guarantees that counting a tag that is known allocates nothing, and that a tag keeps
// no part of the request that it came with.
func TestKnownTagsAllocateNothing(t *testing.T) {
	m := New()
	request := []byte(strings.Repeat("x", 1000) + "chat")
	tag := string(request)[1000:]
	m.CountTag(asking, tag, domain.OutcomeValid)
	m.TakeTags(now)
	if got := testing.AllocsPerRun(100, func() { m.CountTag(asking, tag, domain.OutcomeRevoked) }); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
	if len(tagCounts{}) != len(domain.Outcomes) {
		t.Errorf("a tag has room for %d outcomes, want %d", len(tagCounts{}), len(domain.Outcomes))
	}
}
