package main

import (
	"strings"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Exports begin with a byte order mark, write a zone without a colon and NULL for
// no time, depending on the program that made them.
func TestFilesAsOthersWriteThem(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("0", 64)
	created := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, file := range map[string][2]string{
		"csv":             {"csv", "name,hash,created,expiry_date\nk," + hash + ",2024-05-01 12:00:00+0000,NULL\n"},
		"csv, marked":     {"csv", "\uFEFFname,hash,created,expiry_date\nk," + hash + ",2024-05-01T14:00:00+0200,\\N\n"},
		"csv, quoted":     {"csv", "\uFEFF\"name\",\"hash\",\"created\"\nk," + hash + ",2024-05-01 12:00:00+00\n"},
		"jsonl":           {"jsonl", `{"name":"k","hash":"` + hash + `","created":"2024-05-01 12:00:00+0000","expiry_date":null}` + "\n"},
		"jsonl, marked":   {"jsonl", "\uFEFF" + `{"name":"k","hash":"` + hash + `","created":"2024-05-01T12:00:00Z","expiry_date":"NULL"}`},
		"jsonl, one line": {"jsonl", `{"name":"k","hash":"` + hash + `","created":"2024-05-01T12:00:00+0000"}`},
	} {
		lines, err := fileRows(strings.NewReader(file[1]), file[0], domain.SHA256Hex)
		if err != nil {
			t.Fatal(err)
		}
		read := 0
		for l, err := range lines {
			read++
			if err != nil || l.bad != nil {
				t.Errorf("%s: %v, %v", name, err, l.bad)
				continue
			}
			if err := l.row.Validate(); err != nil || !l.row.CreatedAt.Equal(created) || !l.row.ExpiresAt.IsZero() {
				t.Errorf("%s: created %v, expires %v: %v", name, l.row.CreatedAt, l.row.ExpiresAt, err)
			}
		}
		if read != 1 {
			t.Errorf("%s: %d rows, want 1", name, read)
		}
	}
}
