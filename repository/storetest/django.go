package storetest

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// django holds databases that djangorestframework-api-key 2 and 3 have made,
// and what they printed once: see scripts/django-keys.py. They were written by
// scripts/prove-django-import --freeze.
//
//go:embed testdata/django-*
var django embed.FS

// DjangoKey is a key in a frozen database, with the token that its client has.
type DjangoKey struct {
	Table      string     `json:"table"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix"`
	HashedKey  string     `json:"hashed_key"`
	Token      string     `json:"token"`
	Created    time.Time  `json:"created"`
	ExpiryDate *time.Time `json:"expiry_date"`
	Revoked    bool       `json:"revoked"`
	Good       bool       `json:"good"` // as the library itself finds
}

// Django returns the address of a database that version 2 or 3 of the library
// has made, a copy of t's own, and the keys in it.
func Django(t testing.TB, version int) (dsn string, keys []DjangoKey) {
	t.Helper()
	name := fmt.Sprintf("testdata/django-%d", version)
	data, err := django.ReadFile(name + ".sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "django.sqlite3")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := django.ReadFile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var made struct {
		Keys []DjangoKey `json:"keys"`
	}
	if err := json.Unmarshal(text, &made); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path, made.Keys
}
