package meter

import (
	"math"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/latchkey-dev/latchkey/domain"
)

const linesInBlock = 1024

// Line is the number of a token's line. The zero value is no line.
type Line uint32

// inline are the outcomes that a line has room for. The last one is for refusals
// that find no place among the rare ones.
var inline = [5]domain.Outcome{
	domain.OutcomeValid, domain.OutcomeRateLimited, domain.OutcomeQuotaExceeded, domain.OutcomeCreditsExhausted, domain.OutcomeOther,
}

const (
	inlineValid = 0
	inlineOther = len(inline) - 1
)

// line is what requests change: half a cache line.
type line struct {
	last atomic.Int64 // when the token was last used: Unix microseconds, and below them the flags
	uses [len(inline)]atomic.Uint32
	_    uint32
}

// Flags beside the time of the last use.
const (
	pending  = 1 // this use has not been taken
	familiar = 2 // the token was used in this interval or the one before, so no use is its first
	flags    = pending | familiar
	flagBits = 2
)

// owner is whose line it is.
type owner struct {
	key     [26]byte // without the kind that all ids of keys begin with
	token   [12]byte // padded with zeros
	test    bool
	rested  uint8  // takes since the line is not held, or held
	project uint32 // 0: the line is free
}

// held is instead of a number of takes: the cache has the line's number, or it is
// among the loose.
const held = math.MaxUint8

type block struct {
	limits atomic.Pointer[[linesInBlock]atomic.Pointer[limited]] // nil until a line has some

	lines  [linesInBlock]line
	owners [linesInBlock]owner // under the meter's lock
}

const keyKind = "key_"

// project is what the lines of a project share.
type project struct {
	id           domain.ProjectID
	organization domain.OrganizationID
	lines        int
}

// table has the lines and their owners. What changes owners needs the lock of the
// meter; blocks may be read without it.
type table struct {
	blocks   atomic.Pointer[[]*block] // replaced when it grows
	free     []Line
	used     int
	projects []project // by number
	unused   []uint32  // numbers of projects
	numbers  map[domain.ProjectID]uint32
	external map[Line]string // the external ids of keys that have one
	buckets  *buckets
	balances *balances
	memory   *memory
}

func (t *table) line(n Line) *line { return &(*t.blocks.Load())[n/linesInBlock].lines[n%linesInBlock] }

// limited returns where the limits of a line's key are.
func (t *table) limited(n Line) *atomic.Pointer[limited] {
	b := (*t.blocks.Load())[n/linesInBlock]
	for {
		if all := b.limits.Load(); all != nil {
			return &all[n%linesInBlock]
		}
		b.limits.CompareAndSwap(nil, new([linesInBlock]atomic.Pointer[limited]))
	}
}

func (t *table) owner(n Line) *owner {
	return &(*t.blocks.Load())[n/linesInBlock].owners[n%linesInBlock]
}

// grow adds a block. Neighbors share a cache line, so every other line is used
// first.
func (t *table) grow() {
	old := *t.blocks.Load()
	first := Line(len(old) * linesInBlock) //nolint:gosec // lines have 32 bits; more do not fit into memory
	blocks := slices.Concat(old, []*block{new(block)})
	t.blocks.Store(&blocks)
	for _, odd := range []Line{1, 0} {
		for i := Line(linesInBlock); i > 0; i -= 2 {
			if n := first + i - 2 + odd; n != 0 { // number 0 is no line
				t.free = append(t.free, n)
			}
		}
	}
}

// add gives the token of a key a line.
func (t *table) add(key domain.ProvenKey) Line {
	f := key.Fields()
	if len(t.free) == 0 {
		t.grow()
	}
	n := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.used++
	o := t.owner(n)
	*o = owner{test: f.Environment == domain.Test, rested: held, project: t.projectOf(key.Tenant())}
	copy(o.key[:], strings.TrimPrefix(string(f.ID), keyKind))
	copy(o.token[:], f.TokenID)
	if f.ExternalID != "" {
		t.external[n] = strings.Clone(f.ExternalID) // the key's own text is a part of the cache
	}
	t.projects[o.project].lines++
	return n
}

// projectOf returns the number of a tenant's project.
func (t *table) projectOf(tenant *domain.Tenant) uint32 {
	number, known := t.numbers[tenant.Project.ID]
	if known {
		return number
	}
	p := project{id: tenant.Project.ID, organization: tenant.Organization.ID}
	if len(t.unused) == 0 {
		number, t.projects = uint32(len(t.projects)), append(t.projects, p) //nolint:gosec // the same
	} else {
		number, t.unused = t.unused[len(t.unused)-1], t.unused[:len(t.unused)-1]
		t.projects[number] = p
	}
	t.numbers[p.id] = number
	return number
}

// remove frees a line.
func (t *table) remove(n Line) {
	o := t.owner(n)
	if p := &t.projects[o.project]; p.lines > 1 {
		p.lines--
	} else {
		delete(t.numbers, p.id)
		t.unused = append(t.unused, o.project)
		*p = project{}
	}
	delete(t.external, n)
	if (*t.blocks.Load())[n/linesInBlock].limits.Load() != nil {
		t.release(t.limited(n).Swap(nil), true)
	}
	*o = owner{}
	t.line(n).last.Store(0)
	t.free = append(t.free, n)
	t.used--
}

// count returns a count of the owner of a line.
func (t *table) count(n Line, outcome domain.Outcome, count int64) domain.UsageCount {
	o := t.owner(n)
	c := domain.UsageCount{
		OrganizationID: t.projects[o.project].organization,
		ProjectID:      t.projects[o.project].id,
		KeyID:          o.keyID(),
		ExternalID:     t.external[n],
		Environment:    domain.Live,
		Outcome:        outcome,
		Count:          count,
	}
	if o.test {
		c.Environment = domain.Test
	}
	return c
}

func (o *owner) keyID() domain.KeyID { return domain.KeyID(keyKind + string(o.key[:])) }

func (o *owner) tokenID() domain.TokenID {
	return domain.TokenID(strings.TrimRight(string(o.token[:]), "\x00"))
}
