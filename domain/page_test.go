package domain_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestNewPage(t *testing.T) {
	t.Parallel()
	cursor := domain.Cursor{At: now.Truncate(time.Microsecond), ID: "key_1"}
	for _, test := range []struct {
		limit  int
		cursor string
		want   domain.Page
		fields []string
	}{
		{0, "", domain.Page{Limit: 50}, nil},
		{1, "", domain.Page{Limit: 1}, nil},
		{200, cursor.String(), domain.Page{Limit: 200, After: cursor}, nil},
		{201, "", domain.Page{}, []string{"limit"}},
		{-1, "!", domain.Page{}, []string{"limit", "cursor"}},
	} {
		got, err := domain.NewPage(test.limit, test.cursor)
		if diff := cmp.Diff(test.fields, fields(t, err)); diff != "" {
			t.Errorf("%d, %q: %s", test.limit, test.cursor, diff)
		}
		if diff := cmp.Diff(test.want, got); err == nil && diff != "" {
			t.Errorf("%d, %q: %s", test.limit, test.cursor, diff)
		}
	}
}

// Guarantees that a cursor comes back as the place it was made for, whatever
// the time and the id, and that anything else is refused without a crash.
func FuzzCursor(f *testing.F) {
	good := domain.Cursor{At: now, ID: "key_1"}.String()
	f.Add(good, now.UnixMicro(), "key_1")
	f.Add("", int64(0), "")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("+z.key_1")), int64(-1), ".")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("Z.key_1")), int64(1)<<62, "a.b")
	f.Add(good+"=", int64(-1)<<63, "é\x00")
	f.Add(strings.Repeat("A", 300), int64(1), strings.Repeat("x", 300))
	f.Fuzz(func(t *testing.T, text string, micros int64, id string) {
		if page, err := domain.NewPage(0, text); err == nil && page.After.String() != text {
			t.Errorf("%q is taken, but comes back as %q", text, page.After)
		}
		if id == "" || len(id) > 64 || strings.ToValidUTF8(id, "") != id || strings.Contains(id, "\x00") {
			return
		}
		want := domain.Cursor{At: time.UnixMicro(micros).UTC(), ID: id}
		page, err := domain.NewPage(0, want.String())
		if diff := cmp.Diff(want, page.After); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

func TestBadCursors(t *testing.T) {
	t.Parallel()
	good := domain.Cursor{At: now, ID: "key_1"}.String()
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, s := range []string{
		"!", good + "=", good + "A", good[1:], " " + good, good + "\n", encode("."), encode("z"), encode("z."), encode(".key_1"),
		encode("+z.key_1"),
		encode("Z.key_1"), encode("0z.key_1"), encode("!.key_1"), encode("zzzzzzzzzzzzzzzz.key_1"), encode("z.key\x00"), encode("z.\xff"),
		encode("z." + strings.Repeat("x", 200)),
	} {
		page, err := domain.NewPage(0, s)
		if diff := cmp.Diff([]string{"cursor"}, fields(t, err)); diff != "" || !page.After.IsZero() {
			t.Errorf("%q: %+v %s", s, page.After, diff)
		}
	}
}

func TestNewList(t *testing.T) {
	t.Parallel()
	at := func(n int) domain.Cursor { return domain.Cursor{At: now, ID: string(rune('a' + n))} }
	for rows, want := range map[int]domain.List[int]{
		0: {Items: []int{}}, 2: {Items: []int{0, 1}}, 3: {Items: []int{0, 1, 2}}, 4: {Items: []int{0, 1, 2}, Next: at(2)},
	} {
		read := make([]int, rows)
		for i := range read {
			read[i] = i
		}
		if diff := cmp.Diff(want, domain.NewList(read, 3, at)); diff != "" {
			t.Errorf("%d rows: %s", rows, diff)
		}
	}
}
