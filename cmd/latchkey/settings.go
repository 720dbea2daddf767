package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/repository"
)

const settingPrefix = "LATCHKEY_"

//go:generate go run ../../scripts/settingspage settings.go ../../docs/settings.md

// settings are the values from the environment and the flags, checked by
// readSettings. A setting marked secret has no flag: every process on the machine
// can read arguments. docs/settings.md is generated from the tags.
type settings struct {
	Listen            string `env:"LISTEN" envDefault:"127.0.0.1:8080" usage:"address to serve on, or unix:PATH" example:":8080"`
	Database          string `env:"DATABASE" envDefault:"sqlite:latchkey.db" usage:"sqlite:PATH or postgres://…" example:"postgres://latchkey:password@db.example.com/latchkey?sslmode=verify-full"`
	DatabaseDirect    string `env:"DATABASE_DIRECT" usage:"address of the PostgreSQL server itself, if DATABASE names a transaction pooler" example:"postgres://latchkey:password@db.example.com/latchkey?sslmode=verify-full"`
	DatabaseTLS       string `env:"DATABASE_TLS" envDefault:"verified" usage:"connections to PostgreSQL on other machines: verified, unverified, or hosts and networks, with commas, that need no verified TLS" example:"postgres,10.0.0.0/8"`
	Migrate           string `env:"MIGRATE" envDefault:"auto" usage:"pending migrations: auto applies them, check refuses to start" example:"check"`
	MasterKey         string `env:"MASTER_KEY" secret:"true" usage:"32 random bytes in base64 from which all other secrets are derived, the same on every node"`
	MasterKeyFile     string `env:"MASTER_KEY_FILE" usage:"file that holds the master key (default latchkey.key beside an SQLite database)" example:"/etc/latchkey/master.key"`
	PublicURL         string `env:"PUBLIC_URL" usage:"address that clients use, https unless on loopback (default: from the one served on)" example:"https://keys.example.com"`
	APIKeyKeyword     string `env:"API_KEY_KEYWORD" envDefault:"Api-Key" usage:"scheme word before a key in Authorization" example:"Acme-Key"`
	APIKeyHeader      string `env:"API_KEY_HEADER" usage:"the one header to read keys from (default Authorization and X-Api-Key)" example:"X-Acme-Key"`
	KeyPrefix         string `env:"KEY_PREFIX" envDefault:"lk" usage:"first part of the tokens of projects that have not chosen their own" example:"acme"`
	Signup            string `env:"SIGNUP" envDefault:"open" usage:"who may make an account: open, invite or closed" example:"invite"`
	DefaultPermission string `env:"DEFAULT_PERMISSION" usage:"rule of routes registered without one: HasAPIKey, IsUser, HasAPIKey|IsUser or HasAPIKey&IsUser (default: refuse)" example:"HasAPIKey|IsUser"`
	TrustedProxies    string `env:"TRUSTED_PROXIES" usage:"addresses and networks, with commas, whose X-Forwarded-For is believed" example:"10.0.0.0/8,192.0.2.7"`
	CORSOrigins       string `env:"CORS_ORIGINS" usage:"origins, with commas, whose pages may call the API" example:"https://app.example.com"`
	SMTPURL           string `env:"SMTP_URL" secret:"true" usage:"mail server, smtp:// or smtps://, with the sender as from=" example:"smtps://user:password@mail.example.com?from=keys@example.com"`
	SMTPHello         string `env:"SMTP_HELLO" usage:"name that mail servers are greeted with (default: the host of PUBLIC_URL)" example:"mail.example.com"`
	AdminListen       string `env:"ADMIN_LISTEN" envDefault:"127.0.0.1:9090" usage:"address to serve metrics on" example:":9090"`
	OutageGrace       string `env:"OUTAGE_GRACE" envDefault:"60s" usage:"how long known callers are served while the database is out of reach" example:"2m"`
	SyncWaiters       int    `env:"SYNC_WAITERS" envDefault:"10000" usage:"how many calls of syncKeys may wait at this node" example:"20000"`
	WebhookNetworks   string `env:"WEBHOOK_NETWORKS" usage:"addresses and networks, with commas, that webhooks may reach although they are not public" example:"10.2.0.0/16"`
	UsageDays         int    `env:"USAGE_DAYS" envDefault:"400" usage:"how many days usage is kept" example:"800"`
	Journal           string `env:"JOURNAL" usage:"file on a local disk in which a node keeps what it spends of quotas and credits, so that kill -9 loses none, or none (default latchkey.journal beside an SQLite database, or in systemd's STATE_DIRECTORY)" example:"/var/lib/latchkey/latchkey.journal"`
	Log               string `env:"LOG" envDefault:"text" usage:"how the log is written: text or json" example:"json"`

	// The values above, parsed.
	masterKey  *[32]byte             // nil: beside the SQLite database
	permission permission.Permission // zero: refuse
	proxies    []netip.Prefix
	origins    []string
	webhooks   []netip.Prefix
	grace      time.Duration
	tracing    tracingSettings
	tls        repository.TLSPolicy
	servedOn   string          // the actual address of the listener
	makes      bool            // creates a missing database and master key
	chosen     map[string]bool // the settings that were given
	arguments  map[string]bool // those that were given as arguments
	unknown    []string        // variables that look like settings but are not
}

// mistakes lists everything that is wrong with the settings. It repeats no secret.
type mistakes []string

func (m *mistakes) add(setting, format string, args ...any) {
	m.addNamed(settingPrefix+setting, format, args...)
}

// addNamed is like add, but takes the whole name of the variable.
func (m *mistakes) addNamed(name, format string, args ...any) {
	*m = append(*m, withoutAddresses(name+": "+fmt.Sprintf(format, args...)))
}

func (m mistakes) Error() string {
	if len(m) == 1 {
		return "there is a mistake in the settings:\n  " + m[0]
	}
	return fmt.Sprintf("there are %d mistakes in the settings:\n  %s", len(m), strings.Join(m, "\n  "))
}

// addSettingFlags gives cmd a flag for each setting named, or for all of them.
func addSettingFlags(cmd *cobra.Command, names ...string) {
	for f := range reflect.TypeFor[settings]().Fields() {
		name, usage := f.Tag.Get("env"), f.Tag.Get("usage")
		if name == "" || f.Tag.Get("secret") != "" || len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		// The default is only in the usage text: an unused flag must not set it.
		if d := f.Tag.Get("envDefault"); d != "" {
			usage += " (default " + d + ")"
		}
		cmd.Flags().String(flagName(name), "", usage+" ["+settingPrefix+name+"]")
	}
}

func flagName(setting string) string {
	return strings.ReplaceAll(strings.ToLower(setting), "_", "-")
}

// readSettings reads the environment and the flags of cmd, which override it. The
// error lists all mistakes.
func readSettings(cmd *cobra.Command) (*settings, error) {
	s, wrong, err := parseSettings(cmd)
	if err != nil {
		return nil, err
	}
	if wrong = append(wrong, s.needMasterKey()...); len(wrong) > 0 {
		return nil, wrong
	}
	return s, nil
}

// parseSettings is like readSettings but does not require a master key, for
// commands that use nothing protected by it.
func parseSettings(cmd *cobra.Command) (*settings, mistakes, error) {
	given := env.ToMap(os.Environ())
	s := &settings{chosen: map[string]bool{}, arguments: map[string]bool{}}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for field := range reflect.TypeFor[settings]().Fields() {
			if name := field.Tag.Get("env"); name != "" && flagName(name) == f.Name {
				given[settingPrefix+name] = f.Value.String()
				s.arguments[name] = true
			}
		}
	})
	known := map[string]bool{} // beginning with those of clients
	for _, name := range []string{"URL", "API_KEY", "API_KEY_FILE"} {
		known[settingPrefix+name] = true
	}
	err := env.ParseWithOptions(s, env.Options{
		Environment: given, Prefix: settingPrefix,
		OnSet: func(name string, value any, isDefault bool) {
			known[name] = true
			s.chosen[strings.TrimPrefix(name, settingPrefix)] = !isDefault && value != ""
		},
	})
	if err != nil {
		return nil, nil, errors.New("read the settings: " + withoutAddresses(err.Error()))
	}
	for name := range given {
		if strings.HasPrefix(name, settingPrefix) && !known[name] {
			s.unknown = append(s.unknown, name)
		}
	}
	slices.Sort(s.unknown)
	var wrong mistakes
	s.tracing, wrong = readTracing(given)
	return s, append(s.check(), wrong...), nil
}
