package storetest

import (
	"database/sql"
	"embed"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// older holds databases that the program of 0.1 has filled, and what its clients
// knew then. testdata/0.1/make.sh has made them.
//
//go:embed testdata/0.1/*.sql testdata/0.1/*.json
var older embed.FS

// Older is what clients of 0.1 know of a database that it filled. Its master key is
// that of the tests of api.
type Older struct {
	At           time.Time `json:"at"` // when the last of it was done
	Organization string    `json:"organization"`
	Project      string    `json:"project"`
	Keys         []struct {
		ID    string `json:"id"`
		Token string `json:"token"`
		Code  string `json:"code"` // why it is refused; empty: it is not
	} `json:"keys"`
	Imported []string `json:"imported"` // tokens that were made elsewhere
	Replays  []struct {
		Path           string         `json:"path"`
		Body           map[string]any `json:"body"`
		IdempotencyKey string         `json:"idempotency_key"`
		Status         int            `json:"status"`
		Token          string         `json:"token"`
	} `json:"replays"`
	AccessToken       string   `json:"access_token"` // of the owner, ada@example.com
	RefreshToken      string   `json:"refresh_token"`
	UsedRefreshToken  string   `json:"used_refresh_token"`  // the one before RefreshToken
	OtherRefreshToken string   `json:"other_refresh_token"` // of a developer, bob@example.com
	Cookie            string   `json:"cookie"`              // of bob's browser
	Invitation        string   `json:"invitation"`          // of a viewer, cara@example.com
	Events            []string `json:"events"`
}

// FillAsOlder fills an empty database of an engine as the program of 0.1 has left
// it, without the migrations that came later.
func FillAsOlder(t testing.TB, dsn string) (known Older) {
	t.Helper()
	driver, address, name := "pgx", dsn, "postgres"
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, address, name = "latchkey-sqlite", "file:"+path, "sqlite"
	}
	script, err := older.ReadFile("testdata/0.1/" + name + ".sql")
	if err != nil {
		t.Fatal(err)
	}
	text, err := older.ReadFile("testdata/0.1/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // the script sets what holds for a session
	if _, err := db.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	return known
}
