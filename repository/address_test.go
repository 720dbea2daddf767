package repository_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/repository"
)

// Guarantees that no connection to another machine is made without a verified
// certificate, unless the operator exempted that machine.
func TestConnectionsAreVerified(t *testing.T) {
	t.Parallel()
	for policy, hosts := range map[string]map[string]bool{
		"": {
			"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "[::1]": true, "db.example.com": false,
			"10.0.0.1":      false,
			"[2001:db8::1]": false, "localhost,db.example.com": false, "db.example.com,localhost": false, "localhost.example.com": false,
		},
		"verified":                {"db.example.com": false, "localhost": true},
		"unverified":              {"db.example.com": true, "10.0.0.1": true},
		"10.1.0.0/16,db.internal": {"10.1.255.255": true, "10.2.0.1": false, "db.internal": true, "DB.internal": true, "other.internal": false},
		"Postgres , 10.1.2.3/8":   {"postgres": true, "10.200.0.1": true, "11.0.0.1": false},
		"10.0.0.1":                {"10.0.0.1": true, "10.0.0.2": false},
		"2001:db8::/32":           {"[2001:db8::1]": true, "[2001:db9::1]": false},
	} {
		p, err := repository.ParseTLSPolicy(policy)
		if err != nil {
			t.Fatalf("%q: %v", policy, err)
		}
		for host, exempt := range hosts {
			for mode, verified := range map[string]bool{
				"": false, "disable": false, "allow": false, "prefer": false, "require": false, "verify-ca": true, "verify-full": true,
			} {
				dsn := "postgres://latchkey:secret@" + host + "/latchkey?sslmode=" + mode
				err := repository.CheckAddress(dsn, p)
				if good := err == nil; good != (exempt || verified) {
					t.Errorf("policy %q, %s, sslmode %q: got %v, want it taken: %v", policy, host, mode, err, !good)
				}
			}
		}
		if err := repository.CheckAddress("postgres:///latchkey?host=/run/postgresql", p); err != nil {
			t.Errorf("policy %q, a socket: %v", policy, err)
		}
	}
	for _, bad := range []string{"verified,unverified", "db.internal,verified", "db internal", "10.0.0.0/33", ",", "a,,b", "https://db"} {
		if p, err := repository.ParseTLSPolicy(bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, p)
		}
	}
}

// Guarantees that what is wrong with an address is said without repeating a part
// of it that may be secret.
func TestBadAddresses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file.pem")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "s3cr3t"
	const good = "postgres://user:" + secret + "@db/name?"
	for address, want := range map[string]string{
		"user:" + secret + "@db":                                 "cannot be divided",
		"postgres://user:" + secret + "/x@db/name":               "cannot be divided",
		"postgres://user:" + secret + "%@db/name":                "cannot be divided",
		"postgres://user:" + secret + "%4@db/name":               "cannot be divided",
		"postgres://user:" + secret + "%zz@db/name":              "cannot be divided",
		"postgres://user:[" + secret + "@db/name":                "cannot be divided",
		"postgres://user:" + secret + "@db:port/name":            "cannot be divided",
		"postgres://user:" + secret + "#x@db/name":               "cannot be divided",
		good + "sslmode=full":                                    "sslmode must be one of disable, allow",
		good + "sslrootcert=" + dir + "/absent":                  "sslrootcert cannot be read",
		good + "sslmode=verify-ca&sslcert=" + file:               "sslcert and sslkey must be given together",
		good + "sslmode=verify-ca&sslkey=" + file:                "sslcert and sslkey must be given together",
		good + "connect_timeout=soon":                            "the parameter connect_timeout has a value that cannot be used",
		good + "application_name=x&target_session_attrs=any-one": "the parameter target_session_attrs",
		"postgres://user:" + secret + "@db:99999/name":           "cannot be read; it looks like",
	} {
		err := repository.CheckAddress(address, repository.TLSPolicy{Unverified: true})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v, want that it says %q and nothing secret", address, err, want)
		}
		if shown := repository.Redact(address); strings.Contains(shown, secret) {
			t.Errorf("%s: %s is logged", address, shown)
		}
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://ann:s3cr3t@db:5432/name?sslmode=require&password=s3cr3t": "postgres://ann@db:5432/name",
		"postgresql://db/name": "postgresql://db/name",
		"sqlite:latchkey.db":   "sqlite:latchkey.db", "sqlite:/var/lib/l@tchkey.db": "sqlite:/var/lib/l@tchkey.db",
		"sqlite:file?key=s3cr3t": "sqlite:…", "sqlite://ann:s3cr3t@db/name": "sqlite:…",
		"ann:s3cr3t@db": "the database",
	} {
		if got := repository.Redact(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
	for address, want := range map[string]bool{
		"postgres://ann:s3cr3t@db/name": true, "postgres://ann@db/name?password=s3cr3t": true, "postgres://ann@db/name": false,
		"postgres://db/name": false, "postgres://ann:%@db": true, "sqlite:latchkey.db": false,
	} {
		if got := repository.HasPassword(address); got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}
