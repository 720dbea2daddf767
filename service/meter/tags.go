package meter

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Clients choose their tags, so how many are kept apart is bounded. A tag beyond the
// bounds is counted as domain.OtherTag.
const (
	tagsOfProject = 100     // on one day
	tagsInAll     = 200_000 // on one day, of all projects: some 40 MB
)

const tagShards = 64

// tags are how often the tags of projects were used since the last take. A tag that
// was used on a day keeps its place until the day ends, so that a project has no more
// tags on a day than it may have between two takes.
type tags struct {
	seed   maphash.Seed
	shards [tagShards]tagShard
	known  atomic.Int64 // tags of all projects
	day    time.Time    // of the last take; only takers use it, one at a time
}

type tagShard struct {
	mu sync.Mutex
	of map[domain.ProjectID]*projectTags
}

type projectTags struct {
	organization domain.OrganizationID
	counts       map[string]*tagCounts
}

// tagCounts are the counts of one tag, in the order of domain.Outcomes.
type tagCounts [13]int64

func newTags() *tags {
	t := &tags{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].of = map[domain.ProjectID]*projectTags{}
	}
	return t
}

// CountTag counts the tag of a question of a project about a token, with its answer.
// For a tag that is known it allocates nothing.
func (m *Meter) CountTag(p domain.Project, tag string, outcome domain.Outcome) {
	s := &m.tags.shards[maphash.String(m.tags.seed, string(p.ID))%tagShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	of, known := s.of[p.ID]
	if !known {
		of = &projectTags{p.OrganizationID, map[string]*tagCounts{}}
		s.of[p.ID] = of
	}
	m.tags.counts(of, tag)[placeOf(outcome)]++
}

// counts returns the counts of a tag, or those of the rest if there is no place for it.
func (t *tags) counts(p *projectTags, tag string) *tagCounts {
	if counts, known := p.counts[tag]; known {
		return counts
	}
	if tag != domain.OtherTag && (len(p.counts) >= tagsOfProject || t.known.Load() >= tagsInAll) {
		return t.counts(p, domain.OtherTag)
	}
	t.known.Add(1)
	counts := &tagCounts{}
	p.counts[strings.Clone(tag)] = counts // the text may be a part of a request
	return counts
}

func placeOf(outcome domain.Outcome) int {
	for i, o := range domain.Outcomes {
		if o == outcome {
			return i
		}
	}
	return len(domain.Outcomes) - 1 // others
}

// TakeTags is like Take, for the tags. now is when the counts are taken: on a new day,
// the tags of the last one give up their places.
func (m *Meter) TakeTags(now time.Time) (counts []domain.UsageCount) {
	day := now.UTC().Truncate(24 * time.Hour)
	isNew := !day.Equal(m.tags.day)
	m.tags.day = day
	for i := range m.tags.shards {
		s := &m.tags.shards[i]
		s.mu.Lock()
		for id, of := range s.of {
			counts = append(counts, m.tags.take(id, of, isNew)...)
			if len(of.counts) == 0 {
				delete(s.of, id)
			}
		}
		s.mu.Unlock()
	}
	return counts
}

// take takes the counts of a project. If forget is set, it drops tags without any.
func (t *tags) take(id domain.ProjectID, p *projectTags, forget bool) (counts []domain.UsageCount) {
	for tag, of := range p.counts {
		if forget && *of == (tagCounts{}) {
			delete(p.counts, tag)
			t.known.Add(-1)
			continue
		}
		for i, n := range of {
			if n > 0 {
				counts = append(counts, domain.UsageCount{
					OrganizationID: p.organization,
					ProjectID:      id,
					Tag:            tag,
					Outcome:        domain.Outcomes[i],
					Count:          n,
				})
			}
		}
		*of = tagCounts{}
	}
	return counts
}
