package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// attempted runs a command and returns all that a person would see of it.
func attempted(t *testing.T, args ...string) string {
	t.Helper()
	var seen bytes.Buffer
	root := newRoot()
	root.SetIn(strings.NewReader(""))
	root.SetOut(&seen)
	root.SetErr(&seen)
	root.SetArgs(args)
	if err := root.ExecuteContext(t.Context()); err != nil {
		seen.WriteString(visibleLines(explain(err)))
	}
	return seen.String()
}

// anAddress are values for settings that take no address with a password.
var anAddress = []string{"https://u:$@h", "u:$@h", "h//u:$@h"}

// keepsSecret runs commands with a setting and looks for parts of the secret.
func keepsSecret(t *testing.T, name, value string) {
	t.Helper()
	t.Setenv(name, value)
	for _, command := range []string{"user list", "backup out.db", "doctor", "migrate status"} {
		seen := attempted(t, strings.Fields(command)...)
		if strings.Contains(seen, "HUNTER2") || strings.Contains(seen, "CRET@") || len(value) > 30 && strings.Contains(seen, value) {
			t.Errorf("%s=%s latchkey %s shows %q", name, value, command, seen)
		}
	}
}

// TestSettingsKeepSecrets guarantees that no error repeats the value of a setting
// that may hold a secret, however wrong it is: neither a password that is part of an
// address, in whatever setting, nor a master key where its file belongs.
func TestSettingsKeepSecrets(t *testing.T) {
	const key = "SFVOVEVSMlNFQ1JFVEhVTlRFUjJTRUNSRVRIVU5URVI="
	t.Chdir(t.TempDir())
	for name, values := range map[string][]string{
		"LATCHKEY_DATABASE": {
			"sqlite:postgres://u:$@h/db", "sqlite:u:$@h/db", "sqlite://u:$@h/db", "sqlite:folder/x?password=$", "mysql://u:$@h",
			"$", "POSTGRES://u:$@h/d", " postgres://u:$@h/d", "postgres://u:$@@h/db", "postgres://u:$@127.0.0.1:1/db", "postgres:u:$@h/db",
			"postgres://127.0.0.1:1/db?password=$", "postgres://127.0.0.1:1/db?sslkey=$&sslcert=x",
			"postgres://u@h/db?password=$&sslmode=bad",
			"postgres://127.0.0.1:1/db?sslpassword=$",
		},
		"LATCHKEY_DATABASE_DIRECT": {"sqlite:postgres://u:$@h/db", "postgres://u:$@@h/db", "mysql://u:$@h", "$"},
		"LATCHKEY_MASTER_KEY":      {"$", "$$", "file:$", "base64:$"},
		"LATCHKEY_MASTER_KEY_FILE": {key, strings.TrimRight(key, "="), strings.Repeat("0123456789abcdef", 4), " " + key},
		"LATCHKEY_SMTP_URL": {
			"smtp://u:$@h", "smtp://u:$@h:99999?from=a@b.de", "http://u:$@h?from=a@b.de", "smtp://u:$%zz@h?from=a@b.de",
			"smtp://u:x@h?from=$", "$",
		},
		"LATCHKEY_PUBLIC_URL":         {"https://u:$@h", "http://u:$@h.example", "u:$@h"},
		"LATCHKEY_CORS_ORIGINS":       {"https://u:$@h", "https://app.example.com,https://u:$@h/"},
		"LATCHKEY_LISTEN":             anAddress,
		"LATCHKEY_ADMIN_LISTEN":       anAddress,
		"LATCHKEY_TRUSTED_PROXIES":    anAddress,
		"LATCHKEY_DATABASE_TLS":       anAddress,
		"LATCHKEY_LOG":                anAddress,
		"LATCHKEY_SIGNUP":             anAddress,
		"LATCHKEY_OUTAGE_GRACE":       anAddress,
		"LATCHKEY_USAGE_DAYS":         anAddress,
		"LATCHKEY_API_KEY_KEYWORD":    anAddress,
		"LATCHKEY_API_KEY_HEADER":     anAddress,
		"LATCHKEY_KEY_PREFIX":         anAddress,
		"LATCHKEY_DEFAULT_PERMISSION": anAddress,
		"LATCHKEY_SMTP_HELLO":         anAddress,
		"OTEL_PROPAGATORS":            anAddress,
		"OTEL_TRACES_SAMPLER":         anAddress,
		"OTEL_EXPORTER_OTLP_ENDPOINT": {"http://u:$@:bad", "https://u:$@127.0.0.1:1", "u:$@h"},
		"OTEL_EXPORTER_OTLP_HEADERS":  {"$", "authorization=$,=", "a=%zz$"},
		"OTEL_RESOURCE_ATTRIBUTES":    {"$"},
	} {
		for _, value := range values {
			keepsSecret(t, name, strings.ReplaceAll(value, "$", "HUNTER2SECRET"))
			keepsSecret(t, name, strings.ReplaceAll(value, "$", "HUNTER2/SE?CRET"))
		}
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestArgumentsKeepSecrets guarantees that a secret which was typed where an argument
// belongs is not repeated, because what a program prints is kept in logs: a
// password, the token of a key, an address with a password.
func TestArgumentsKeepSecrets(t *testing.T) {
	t.Parallel()
	const secret = "HUNTER2SECRET"
	const slashed = "HUNTER2/SE?CRET"
	const token = "lk_live_4kq9ZtRw0mXb_" + secret + "cccccccccccccccccccccccccccccccccccc"
	database := "sqlite:" + t.TempDir() + "/latchkey.db"
	if seen := attempted(t, "migrate", "up", "--database", database); strings.Contains(seen, "mistake") {
		t.Fatal(seen)
	}
	for _, command := range []string{
		"serve $", "key verify $", "$", "key $", "user disable $ $", "help $", "help key $", "user create a@b.de $",
		"user create -p$ a@b.de", "user create --password=$ a@b.de",
		"key show TOKEN", "key revoke TOKEN", "key rotate TOKEN", "key create TOKEN --project TOKEN",
		"project create x --organization TOKEN",
		"key list --project TOKEN", "user operator TOKEN", "user disable TOKEN", "organization disable TOKEN", "project disable TOKEN",
		"user create postgres://u:$@h", "key list --project postgres://u:$@h/db", "user list --database postgres://u:$@@h",
		"user create postgres://u:SLASHED@h", "key list --project postgres://u:SLASHED@h/db",
		"user list --database postgres://u:SLASHED@h/db", "serve --listen postgres://u:SLASHED@h/db",
	} {
		args := strings.Fields(strings.NewReplacer("TOKEN", token, "$", secret, "SLASHED", slashed).Replace(command))
		if strings.Contains(command, " --") || strings.Contains(command, "TOKEN") {
			args = append(args, "--database", database)
		}
		if seen := attempted(t, args...); strings.Contains(seen, "HUNTER2") || strings.Contains(seen, "CRET@") {
			t.Errorf("latchkey %s shows %q", command, seen)
		}
	}
}
