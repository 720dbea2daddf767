package domain_test

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Every time that is taken from text can be written as JSON again, and is in UTC.
func FuzzTimes(f *testing.F) {
	for _, s := range []string{
		"2030-01-31T12:00:00Z", "2030-01-31t12:00:00.5z", "2030-01-31T12:00:00+24:00", "2030-01-31T12:00:00+02:00",
		"2030-01-31T12:00:00,5Z", "2030-01-31T1:00:00Z",
		"9999-12-31T23:59:59-00:01", "1970-01-01T00:00:00Z", "2024-05-01 14:00:00+02", "2024-05-01 14:00:00.25+0200", "2024-05-01", "",
		"2016-12-31T23:59:60Z", "2030-01-31T12:00:00." + strings.Repeat("9", 1000) + "Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, ok := domain.ParseTime(s)
		imported := domain.ParseImportTime(s)
		if ok && !imported.Equal(parsed) {
			t.Errorf("%q is %v, and %v in an import", s, parsed, imported)
		}
		for _, got := range []time.Time{parsed, imported} {
			if text, err := got.MarshalJSON(); err != nil || got.Location() != time.UTC {
				t.Errorf("%q: %s, %v", s, text, err)
			}
			if year := got.Year(); year != 1 && (year < 1970 || year > 9999) {
				t.Errorf("%q is in the year %d", s, year)
			}
		}
	})
}

// Times of RFC 3339 are read, from 1970 to 9999.
func TestParseTime(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2030-01-31T12:00:00Z": noon, "2030-01-31t14:00:00+02:00": noon, "1970-01-01T00:00:00Z": time.Unix(0, 0).UTC(),
		"9999-12-31T23:59:59Z": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "1969-12-31T23:59:59Z": {}, "2030-01-31": {},
		"9999-12-31T23:59:59-00:01": {}, "2030-02-30T12:00:00Z": {},
	} {
		if got, ok := domain.ParseTime(s); !got.Equal(want) || ok == want.IsZero() {
			t.Errorf("%s: got %v, %v, want %v", s, got, ok, want)
		}
	}
}

// What time.Parse takes beyond RFC 3339 is refused in imports, too.
func TestOddImportTimes(t *testing.T) {
	t.Parallel()
	refused := domain.ParseImportTime("tomorrow")
	for _, s := range []string{
		"2024-05-01T12:00:00,5Z", "2024-05-01 12:00:00,5", "2024-05-01 1:00:00", "2024-05-01T1:00:00Z", "2024-05-01 12:00:00+24",
		"2024-05-01 12:00:00+24:00",
		"2024-05-01T12:00", "2024-05-01 ", "2024-05-01Z", "2024-02-30", " 2024-05-01", "2024-05-01 12:00:00 +0000",
	} {
		if got := domain.ParseImportTime(s); !got.Equal(refused) {
			t.Errorf("%q is %v, want it refused", s, got)
		}
	}
}
