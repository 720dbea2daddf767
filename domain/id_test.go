package domain_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 890_123_456, time.UTC)

// uuid reads an id by arithmetic, another way than the package writes it.
func uuid(t *testing.T, id, kind string) (n *big.Int) {
	t.Helper()
	body, ok := strings.CutPrefix(id, kind+"_")
	if !ok || len(body) != 26 {
		t.Fatalf("%q is not %s_ and 26 characters", id, kind)
	}
	n = new(big.Int)
	for _, c := range body {
		digit := strings.IndexRune("0123456789abcdefghjkmnpqrstvwxyz", c)
		if digit < 0 {
			t.Fatalf("%q holds %q", id, c)
		}
		n.Add(n.Lsh(n, 5), big.NewInt(int64(digit)))
	}
	if n.BitLen() > 128 {
		t.Fatalf("%q is longer than 128 bits", id)
	}
	return n
}

// RFC 9562, section 5.7: 48 bits of milliseconds, version 7, variant 10.
func TestNewIDIsAUUIDv7(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{time.UnixMilli(0), now, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		for range 50 {
			n := uuid(t, string(domain.NewID[domain.KeyID](at)), "key")
			bits := func(from, count uint) int64 {
				shifted := new(big.Int).Rsh(n, 128-from-count)
				return shifted.And(shifted, big.NewInt(1<<count-1)).Int64()
			}
			if got, want := bits(0, 48), at.UnixMilli(); got != want {
				t.Errorf("time %d, want %d", got, want)
			}
			if got, want := bits(48, 4), int64(7); got != want {
				t.Errorf("version %d, want %d", got, want)
			}
			if got, want := bits(64, 2), int64(2); got != want {
				t.Errorf("variant %d, want %d", got, want)
			}
		}
	}
}

// Guarantees that an id cannot be guessed from its time: all 74 other bits vary, and
// none follows another.
func TestNewIDIsRandom(t *testing.T) {
	t.Parallel()
	random := []int{}
	for bit := range 128 {
		if bit < 74 && bit != 62 && bit != 63 || bit >= 74 && bit < 76 {
			random = append(random, bit) // from the lowest: below the variant and the version
		}
	}
	equal := map[[2]int]int{}
	const ids = 100
	for range ids {
		n := uuid(t, string(domain.NewID[domain.KeyID](now)), "key")
		for i, a := range random {
			for _, b := range append(random[:i:i], -1) { // -1: a bit that is always 0
				pair := [2]int{a, b}
				equal[pair] += 0
				if b < 0 && n.Bit(a) == 0 || b >= 0 && n.Bit(a) == n.Bit(b) {
					equal[pair]++
				}
			}
		}
	}
	if len(random) != 74 {
		t.Fatalf("got %d random bits, want 74", len(random))
	}
	for bits, n := range equal {
		if n == 0 || n == ids {
			t.Errorf("bit %d follows bit %d", bits[0], bits[1])
		}
	}
}

func TestNewIDSortsByTime(t *testing.T) {
	t.Parallel()
	var ids []domain.EventID
	seen := map[domain.EventID]bool{}
	for i := range 1000 {
		id := domain.NewID[domain.EventID](now.Add(time.Duration(i) * time.Millisecond))
		ids = append(ids, id)
		seen[id] = true
	}
	for range 1000 { // of the same moment
		seen[domain.NewID[domain.EventID](now)] = true
	}
	if !slices.IsSorted(ids) {
		t.Error("ids of later moments do not sort behind those of earlier ones")
	}
	if got, want := len(seen), 2000; got != want {
		t.Errorf("%d different ids, want %d", got, want)
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"key_00000000000000000000000000", "key_7zzzzzzzzzzzzzzzzzzzzzzzzz",
		string(domain.NewID[domain.KeyID](now))} {
		got, err := domain.ParseID[domain.KeyID](want)
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}

	good := string(domain.NewID[domain.KeyID](now))
	bad := []string{
		"", "key", "key_", good[4:], "_" + good[4:], "KEY" + good[3:], "key-" + good[4:], "prj" + good[3:], "key_" + good, good + "0",
		good + "_",
		good + " ", " " + good, good + "\x00", good + "%00", good + "/", "key_8zzzzzzzzzzzzzzzzzzzzzzzzz", strings.ToUpper(good),
		"key_" + strings.ToUpper(good[4:]),
		"../" + good, "key_" + strings.Repeat("é", 13), strings.Repeat("key_", 1000),
	}
	for i := range good {
		bad = append(bad, good[:i], good[i+1:], good[:i]+good[i+1:])
		for _, c := range "iloUA_-\x00\xff" {
			if byte(c) != good[i] {
				bad = append(bad, good[:i]+string(c)+good[i+1:])
			}
		}
	}
	for _, s := range bad {
		if got, err := domain.ParseID[domain.KeyID](s); domain.CodeOf(err) != domain.CodeNotFound || got != "" {
			t.Errorf("%q: got %q, %v; want not_found", s, got, err)
		}
	}
}

// Guarantees that an id of one kind is never taken for another kind.
func TestKindsAreNotMixed(t *testing.T) {
	t.Parallel()
	parse := map[string]func(string) error{
		"usr": parseID[domain.UserID], "org": parseID[domain.OrganizationID], "prj": parseID[domain.ProjectID],
		"key": parseID[domain.KeyID],
		"ses": parseID[domain.SessionID], "inv": parseID[domain.InvitationID], "evt": parseID[domain.EventID],
	}
	made := []string{
		string(domain.NewID[domain.UserID](now)), string(domain.NewID[domain.OrganizationID](now)),
		string(domain.NewID[domain.ProjectID](now)),
		string(domain.NewID[domain.KeyID](now)), string(domain.NewID[domain.SessionID](now)),
		string(domain.NewID[domain.InvitationID](now)),
		string(domain.NewID[domain.EventID](now)),
	}
	for _, id := range made {
		uuid(t, id, id[:3])
		for kind, parse := range parse {
			if got, want := parse(id) == nil, strings.HasPrefix(id, kind+"_"); got != want {
				t.Errorf("%s as %s: taken %v, want %v", id, kind, got, want)
			}
		}
	}
}

func parseID[T domain.ID](s string) error {
	_, err := domain.ParseID[T](s)
	return err
}

func TestParseIDDoesNotAllocate(t *testing.T) {
	id := string(domain.NewID[domain.ProjectID](now))
	if got := testing.AllocsPerRun(100, func() {
		if _, err := domain.ParseID[domain.ProjectID](id); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

func ExampleParseID() {
	_, err := domain.ParseID[domain.ProjectID]("key_00000000000000000000000000")
	fmt.Println(domain.CodeOf(err))
	// Output: not_found
}
