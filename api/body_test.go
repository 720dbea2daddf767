package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// unknownNames is an object of about size bytes, all of whose names are unknown.
func unknownNames(size int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; b.Len() < size-12; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"u%d":0`, i)
	}
	b.WriteByte('}')
	return b.String()
}

// Guarantees that a body of unknown names costs a stranger's request what it
// weighs: 16 KiB in 0.1 took seconds of a core.
func TestUnknownNamesAreCheap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body, least := unknownNames(16<<10), time.Hour
	for range 3 {
		before := servicetest.ProcessCPU(t)
		got := w.call(t, "POST", "/v1/auth/login", anonymous, body).fails(t, http.StatusUnprocessableEntity, failed)
		least = min(least, servicetest.ProcessCPU(t)-before)
		if fields := fieldsOf(t, got); len(fields) != 20 {
			t.Errorf("%d fields are named, want the first 20", len(fields))
		}
	}
	if limit := 500 * time.Millisecond; least > limit { // far above what it takes, for the noise of parallel tests
		t.Errorf("it took %v of a core, want less than %v", least, limit)
	}
}

// Guarantees that a body which was checked reaches the handler as it was sent,
// or is refused: a grace of a million seconds was silently a day.
func TestLargeIntegersBind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "ada")
	for _, test := range []struct {
		grace string
		want  time.Duration
	}{
		{"0", 0},
		{"1", time.Second},
		{"999999", 999_999 * time.Second},
		{"1000000", 1_000_000 * time.Second},
		{"1e6", 1_000_000 * time.Second},
		{"1000000.0", 1_000_000 * time.Second},
		{"2592000", 2_592_000 * time.Second},
	} {
		key := w.key(t, home.owner, home.project.ID, nil)
		var rotated api.CreatedKey
		w.call(t, "POST", home.path("/keys/"+string(key.Key.ID)+"/rotate"), home.owner.as, `{"grace_seconds":`+test.grace+`}`).
			want(t, http.StatusOK, &rotated)
		w.secret(rotated.Token)
		var got time.Duration
		if rotated.Key.Retiring != nil {
			got = rotated.Key.Retiring.ValidUntil.Sub(w.Now())
		}
		if got != test.want {
			t.Errorf("%s: the grace is %v, want %v", test.grace, got, test.want)
		}
	}
	key := w.key(t, home.owner, home.project.ID, nil)
	for _, grace := range []string{"-1", "2592001", "1.5", "1e-1", "1e30", "9223372036854775808", `"1"`, "true", "null", "[1]"} {
		w.call(t, "POST", home.path("/keys/"+string(key.Key.ID)+"/rotate"), home.owner.as, `{"grace_seconds":`+grace+`}`).
			fails(t, http.StatusUnprocessableEntity, failed)
	}
}

// Guarantees that an integer field takes a number only if it is exactly that
// integer, in any notation: what a binary floating-point number would round to an
// integer is refused at its pointer, and so is what it cannot hold.
func TestIntegersAreExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "ada")
	zeros := strings.Repeat("0", 20_000)
	for text, good := range map[string]bool{
		"0": true, "-0": true, "0.0e5": true, "-0.000E-99999999999999999999": true, "0e99999999999999999999": true, "60": true,
		"6E+1":   true,
		"0.06e3": true, "6000e-2": true, "60." + zeros: true, "6" + zeros + "e-20000": true, "0." + zeros + "6e20001": true,
		"1e-400": false, "-1e-400": false, "60.00000000000000000000001": false, "59.99999999999999999999999": false, "1e400": false,
		"-1e400": false, "1e99999999999999999999": false, "1e9223372036854775807": false, "12e9223372036854775806": false,
		"1e-9223372036854775808": false, "1e-99999999999999999999": false, "60" + zeros: false, "2592000.0000000000001": false,
		"18446744073709551676": false, "0.5": false, "60." + zeros + "1": false,
	} {
		key := w.key(t, home.owner, home.project.ID, nil)
		got := w.call(t, "POST", home.path("/keys/"+string(key.Key.ID)+"/rotate"), home.owner.as, `{"grace_seconds":`+text+`}`)
		refused := got.status == http.StatusUnprocessableEntity && fieldsOf(t, got)[0].Pointer == "/grace_seconds"
		if good != (got.status == http.StatusOK) || !good && !refused {
			t.Errorf("%.30s (%d characters): got %d %.200s, want it taken: %v", text, len(text), got.status, got.body, good)
		}
	}
}

// Times are what RFC 3339 has, and one moment whatever offset it was written in.
func TestTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	home := w.tenant(t, "ada")
	key := w.key(t, home.owner, home.project.ID, nil)
	events := "/v1/organizations/" + string(home.organization.ID) + "/audit-events"
	noon := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2030-01-31T12:00:00Z":             noon,
		"2030-01-31t12:00:00z":             noon,
		"2030-01-31T12:00:00+00:00":        noon,
		"2030-01-31T12:00:00-00:00":        noon,
		"2030-01-31T12:00:00.25Z":          noon.Add(250 * time.Millisecond),
		"2030-02-01T11:59:00+23:59":        noon,
		"2030-01-30T12:01:00-23:59":        noon,
		"2030-01-31T12:00:00.123456789Z":   noon.Add(123456 * time.Microsecond),
		"2030-01-31T12:00:00.0000000000Z":  noon,
		"2030-01-31T07:30:00.000000-04:30": noon,
	} {
		var updated api.Key
		w.call(t, "PATCH", home.path("/keys/"+string(key.Key.ID)), home.owner.as, map[string]string{"expires_at": text}).
			want(t, http.StatusOK, &updated)
		if got, err := updated.ExpiresAt.Get(); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
		for _, parameter := range []string{"since", "until"} {
			w.call(t, "GET", events+"?"+parameter+"="+strings.ReplaceAll(text, "+", "%2B"), home.owner.as, nil).want(t, http.StatusOK, nil)
		}
	}
	for _, text := range []string{
		"2030-01-31T12:00:00+24:00", "2030-01-31T12:00:00-24:00", "2030-01-31T12:00:00+23:60", "2030-01-31T12:00:00+9:00",
		"2030-01-31T12:00:00,5Z", "2030-01-31T1:00:00Z", "2030-01-31 12:00:00Z", "2030-01-31T12:00Z", "2030-01-31T12:00:00",
		"2030-01-31T12:00:00.Z", "2030-1-31T12:00:00Z", "2030-02-30T12:00:00Z", "2030-01-31T24:00:00Z", "2030-01-31T12:60:00Z",
		"2030-01-31T12:00:00+0100", "+2030-01-31T12:00:00Z", "12030-01-31T12:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01", "2030-01-31T12:00:00Z ", "", "never",
	} {
		for what, got := range map[string]answer{
			"PATCH": w.call(t, "PATCH", home.path("/keys/"+string(key.Key.ID)), home.owner.as, map[string]string{"expires_at": text}),
			"POST":  w.call(t, "POST", home.path("/keys"), home.owner.as, map[string]string{"name": "a", "expires_at": text}),
			"since": w.call(t, "GET", events+"?since="+strings.NewReplacer("+", "%2B", " ", "%20").Replace(text), home.owner.as, nil),
			"until": w.call(t, "GET", events+"?until="+strings.NewReplacer("+", "%2B", " ", "%20").Replace(text), home.owner.as, nil),
		} {
			if got.status != http.StatusUnprocessableEntity {
				t.Errorf("%s of %q: got %d %s", what, text, got.status, got.body)
			}
		}
	}
}
