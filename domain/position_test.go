package domain

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// snapshots are the positions of one database while transactions begin and end in any
// order.
func snapshots(random *rand.Rand, epoch uint64) (all []Position) {
	next, running := int64(3), map[int64]bool{}
	for range 1 + random.IntN(60) {
		switch {
		case random.IntN(2) == 0:
			running[next], next = true, next+1
		case len(running) > 0:
			for x := range running {
				delete(running, x)
				break
			}
		}
		p := Position{Epoch: epoch, End: next}
		for x := range running {
			p.Running = append(p.Running, x)
		}
		slices.Sort(p.Running)
		for len(p.Running) > 0 && p.Running[len(p.Running)-1] == p.End-1 { // as PostgreSQL has them: the last one has ended
			p.End, p.Running = p.End-1, p.Running[:len(p.Running)-1]
		}
		if len(p.Running) == 0 {
			p.Running = nil
		}
		all = append(all, p)
	}
	return all
}

// Guarantees that a later position covers every earlier one, that a position which does
// not cover another lacks something of it, and that the text of a position is read as
// the same one.
func TestPositions(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 500 {
		all := snapshots(random, seed)
		for i, early := range all {
			if got, ok := ParsePosition(early.String()); !ok || cmp.Diff(early, got) != "" {
				t.Fatalf("seed %d: %+v is read as %+v, %v", seed, early, got, ok)
			}
			for _, late := range all[i:] {
				if !late.Covers(early) {
					t.Fatalf("seed %d: %+v does not cover %+v", seed, late, early)
				}
				lacks := false
				for x := range late.End {
					lacks = lacks || late.Has(x) && !early.Has(x)
				}
				if early.Covers(late) == lacks {
					t.Fatalf("seed %d: %+v covers %+v, but lacks something: %v", seed, early, late, lacks)
				}
			}
		}
	}
	p := Position{Epoch: 1, End: 9}
	if (Position{Epoch: 2, End: 9}).Covers(p) || p.Covers(Position{}) {
		t.Error("a position of another epoch is covered")
	}
}

// Guarantees that a cursor is short however many transactions are running, and that what
// is left out is read again rather than missed.
func TestPositionsAreShort(t *testing.T) {
	t.Parallel()
	p := Position{End: 1 << 40}
	for i := range int64(5000) {
		p.Running = append(p.Running, 1<<39+i*1_000_000)
	}
	text := p.String()
	got, ok := ParsePosition(text)
	if !ok || len(text) > maxPositionLength || !p.Covers(got) || got.Covers(p) {
		t.Errorf("got %d characters, read as a position with %d running, %v", len(text), len(got.Running), ok)
	}
}

// Guarantees that texts which are no positions are refused, whatever they are.
func FuzzParsePosition(f *testing.F) {
	for _, text := range []string{
		"", "x", "AAAAAAAAAAEK", "AAAAAAAAAAEKAQ", "____________", strings.Repeat("A", 3000), "AAAAAAAAAAEKAQEBAQEBAQEBAQE",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := ParsePosition(text)
		if !ok {
			return
		}
		again, ok := ParsePosition(p.String())
		if !ok || cmp.Diff(p, again) != "" || !slices.IsSorted(p.Running) || !p.Covers(p) {
			t.Errorf("%q is read as %+v, and that as %+v", text, p, again)
		}
	})
}
