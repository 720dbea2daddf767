package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
)

const settingPrefix = "LATCHKEY_"

// settings are what the environment and the flags say, checked by readSettings.
// A setting without usage has no flag: an argument is visible to every process
// of the machine.
type settings struct {
	Listen            string `env:"LISTEN" envDefault:"127.0.0.1:8080" usage:"address to serve on"`
	Database          string `env:"DATABASE" envDefault:"sqlite:latchkey.db" usage:"sqlite:PATH or postgres://…"`
	DatabaseDirect    string `env:"DATABASE_DIRECT" usage:"address of the PostgreSQL server itself, where DATABASE is that of a transaction pooler"`
	Migrate           string `env:"MIGRATE" envDefault:"auto" usage:"pending migrations: auto applies them, check refuses to start"`
	MasterKey         string `env:"MASTER_KEY"`
	MasterKeyFile     string `env:"MASTER_KEY_FILE" usage:"file that holds the master key (default latchkey.key beside an SQLite database)"`
	PublicURL         string `env:"PUBLIC_URL" usage:"address that clients use, https unless on loopback (default: from the one served on)"`
	APIKeyKeyword     string `env:"API_KEY_KEYWORD" envDefault:"Api-Key" usage:"scheme word before a key in Authorization"`
	APIKeyHeader      string `env:"API_KEY_HEADER" usage:"the one header to read keys from (default Authorization and X-Api-Key)"`
	KeyPrefix         string `env:"KEY_PREFIX" envDefault:"lk" usage:"first part of the tokens of projects that have not chosen their own"`
	Signup            string `env:"SIGNUP" envDefault:"open" usage:"who may make an account: open, invite or closed"`
	DefaultPermission string `env:"DEFAULT_PERMISSION" usage:"rule of routes registered without one: HasAPIKey, IsUser, HasAPIKey|IsUser or HasAPIKey&IsUser (default: refuse)"`
	TrustedProxies    string `env:"TRUSTED_PROXIES" usage:"addresses and networks, with commas, whose X-Forwarded-For is believed"`
	CORSOrigins       string `env:"CORS_ORIGINS" usage:"origins, with commas, whose pages may call the API"`
	SMTPURL           string `env:"SMTP_URL"`
	SMTPHello         string `env:"SMTP_HELLO" usage:"name that mail servers are greeted with (default: the host of PUBLIC_URL)"`
	AdminListen       string `env:"ADMIN_LISTEN" envDefault:"127.0.0.1:9090" usage:"address to serve metrics on"`
	OutageGrace       string `env:"OUTAGE_GRACE" envDefault:"60s" usage:"how long known callers are served while the database is out of reach"`
	Log               string `env:"LOG" envDefault:"text" usage:"how the log is written: text or json"`

	// What the texts above mean.
	masterKey  *[32]byte             // nil: beside the SQLite database
	permission permission.Permission // zero: refuse
	proxies    []netip.Prefix
	origins    []string
	grace      time.Duration
	tracing    tracingSettings
	chosen     map[string]bool // the settings that somebody made
	unknown    []string        // variables that look like settings and are none
}

// mistakes are everything that is wrong with the settings.
type mistakes []string

func (m *mistakes) add(setting, format string, args ...any) {
	*m = append(*m, settingPrefix+setting+": "+fmt.Sprintf(format, args...))
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
		if usage == "" || len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		// The default stands in the usage only: an unused flag says nothing.
		if d := f.Tag.Get("envDefault"); d != "" {
			usage += " (default " + d + ")"
		}
		cmd.Flags().String(flagName(name), "", usage+" ["+settingPrefix+name+"]")
	}
}

func flagName(setting string) string {
	return strings.ReplaceAll(strings.ToLower(setting), "_", "-")
}

// readSettings reads the environment and, over it, the flags of cmd. The error
// lists every mistake at once.
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

// parseSettings is readSettings without asking for a master key, for commands
// that touch nothing it protects.
func parseSettings(cmd *cobra.Command) (*settings, mistakes, error) {
	given := env.ToMap(os.Environ())
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for field := range reflect.TypeFor[settings]().Fields() {
			if name := field.Tag.Get("env"); name != "" && flagName(name) == f.Name {
				given[settingPrefix+name] = f.Value.String()
			}
		}
	})
	s := &settings{chosen: map[string]bool{}}
	known := map[string]bool{}
	err := env.ParseWithOptions(s, env.Options{
		Environment: given, Prefix: settingPrefix,
		OnSet: func(name string, value any, isDefault bool) {
			known[name] = true
			s.chosen[strings.TrimPrefix(name, settingPrefix)] = !isDefault && value != ""
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the settings: %w", err)
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

func (s *settings) check() (wrong mistakes) {
	s.checkAddresses(&wrong)
	s.checkDatabase(&wrong)
	s.checkPublicURL(&wrong)
	s.checkCredentials(&wrong)
	s.checkProxies(&wrong)
	s.checkOrigins(&wrong)
	s.checkMail(&wrong)
	oneOf := func(setting, value string, choices ...string) {
		if !slices.Contains(choices, value) {
			last := len(choices) - 1
			wrong.add(setting, "must be %s or %s, not %q", strings.Join(choices[:last], ", "), choices[last], value)
		}
	}
	oneOf("MIGRATE", s.Migrate, "auto", "check")
	oneOf("SIGNUP", s.Signup, string(service.SignupOpen), string(service.SignupInvite), string(service.SignupClosed))
	var err error
	if s.grace, err = time.ParseDuration(s.OutageGrace); err != nil || s.grace < 0 {
		wrong.add("OUTAGE_GRACE", "must be a length of time such as 60s or 2m, or 0s for none, not %q", s.OutageGrace)
	}
	oneOf("LOG", s.Log, "text", "json")
	return wrong
}

func (s *settings) checkAddresses(wrong *mistakes) {
	for setting, address := range map[string]string{"LISTEN": s.Listen, "ADMIN_LISTEN": s.AdminListen} {
		_, port, err := net.SplitHostPort(address)
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n > 65535 {
			wrong.add(setting, "must be an address and a port, as in 127.0.0.1:8080 or :8080, not %q", address)
		}
	}
	slices.Sort(*wrong) // the map has no order
}

// postgres reports whether the database is PostgreSQL; else it is SQLite.
func (s *settings) postgres() bool { return isPostgres(s.Database) }

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// sqlitePath is where the SQLite database is.
func (s *settings) sqlitePath() string { return strings.TrimPrefix(s.Database, "sqlite:") }

func (s *settings) checkDatabase(wrong *mistakes) {
	path, sqlite := strings.CutPrefix(s.Database, "sqlite:")
	switch {
	case sqlite && (path == "" || strings.Contains(path, ":memory:")):
		wrong.add("DATABASE", "must name a file, as in sqlite:latchkey.db: a key that is acknowledged has to survive the process")
	case !sqlite && !s.postgres():
		// The value is not repeated: it may hold a password.
		wrong.add("DATABASE", "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	}
	if s.DatabaseDirect != "" && (!s.postgres() || !isPostgres(s.DatabaseDirect)) {
		wrong.add("DATABASE_DIRECT", "must be postgres://…, beside a %sDATABASE that is one, too", settingPrefix)
	}
}

func (s *settings) needMasterKey() (wrong mistakes) {
	switch {
	case s.MasterKey != "" && s.MasterKeyFile != "":
		wrong.add("MASTER_KEY", "%sMASTER_KEY_FILE is set too; keep one of them", settingPrefix)
	case s.MasterKey != "":
		key, err := service.ParseMasterKey(s.MasterKey)
		if err != nil {
			wrong.add("MASTER_KEY", "%v", err)
		}
		s.masterKey = &key
	case s.MasterKeyFile != "":
		key, err := readMasterKey(s.MasterKeyFile)
		if err != nil {
			wrong.add("MASTER_KEY_FILE", "%v", err)
		}
		s.masterKey = &key
	case s.MasterKeyFile == "" && s.postgres():
		wrong.add("MASTER_KEY", "PostgreSQL needs it, or %sMASTER_KEY_FILE, the same on every node; make one with: openssl rand -base64 32", settingPrefix)
	}
	return wrong
}

func (s *settings) checkPublicURL(wrong *mistakes) {
	if s.PublicURL == "" {
		return
	}
	u, err := url.Parse(s.PublicURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		wrong.add("PUBLIC_URL", "must be an address such as https://keys.example.com")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		wrong.add("PUBLIC_URL", "must be https unless it is on this machine: keys and passwords would travel in the clear to %s", u.Host)
	}
	s.PublicURL = strings.TrimRight(s.PublicURL, "/")
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// publicURL is the address that clients use, served on being the one that was
// really opened. Without a setting it is only good on this machine.
func (s *settings) publicURL(servedOn string) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	host, port, err := net.SplitHostPort(servedOn)
	if err != nil || !loopback(host) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (s *settings) checkCredentials(wrong *mistakes) {
	if err := (api.Credentials{Keyword: s.APIKeyKeyword}).Validate(); err != nil {
		wrong.add("API_KEY_KEYWORD", "%v", err)
	}
	if err := (api.Credentials{Header: s.APIKeyHeader}).Validate(); err != nil {
		wrong.add("API_KEY_HEADER", "%v", err)
	}
	if why := domain.ValidateKeyPrefix(s.KeyPrefix); why != "" {
		wrong.add("KEY_PREFIX", "%s", why)
	}
	var err error
	if s.permission, err = permission.Parse(s.DefaultPermission); err != nil {
		wrong.add("DEFAULT_PERMISSION", "must be HasAPIKey, IsUser, HasAPIKey|IsUser or HasAPIKey&IsUser, not %q", s.DefaultPermission)
	}
}

func (s *settings) checkProxies(wrong *mistakes) {
	for _, text := range commaList(s.TrustedProxies) {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			wrong.add("TRUSTED_PROXIES", "must list addresses and networks, as in 10.0.0.0/8,192.0.2.7, not %q", text)
			continue
		}
		s.proxies = append(s.proxies, prefix)
	}
}

func (s *settings) checkOrigins(wrong *mistakes) {
	s.origins = commaList(s.CORSOrigins)
	if err := (api.Config{CORSOrigins: s.origins}).Validate(); err != nil {
		wrong.add("CORS_ORIGINS", "%v", err)
	}
}

func (s *settings) checkMail(wrong *mistakes) {
	if err := mail.CheckHello(s.SMTPHello); s.SMTPHello != "" && err != nil {
		wrong.add("SMTP_HELLO", "%v", err)
		return
	}
	if s.SMTPURL == "" {
		return
	}
	if _, err := s.mailer("http://localhost"); err != nil {
		wrong.add("SMTP_URL", "%v", err) // says nothing of the value, which may hold a password
	}
}

// mailer delivers email to the configured server, for an instance at publicURL.
func (s *settings) mailer(publicURL string) (*mail.SMTP, error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, err
	}
	return mail.NewSMTP(s.SMTPURL, u.Hostname(), cmp.Or(s.SMTPHello, u.Hostname()))
}

func commaList(text string) (items []string) {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
