package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/mail"
	"github.com/latchkey-dev/latchkey/service/outgoing"
)

func (s *settings) check() (wrong mistakes) {
	s.checkAddresses(&wrong)
	s.checkDatabase(&wrong)
	s.checkPublicURL(&wrong)
	s.checkCredentials(&wrong)
	s.checkProxies(&wrong)
	s.checkWebhooks(&wrong)
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
	if s.SyncWaiters < 1 || s.SyncWaiters > maxSyncWaiters {
		wrong.add("SYNC_WAITERS", "must be 1 to %d, not %d", maxSyncWaiters, s.SyncWaiters)
	}
	if s.UsageDays < 1 || s.UsageDays > service.MaxUsageDays {
		wrong.add("USAGE_DAYS", "must be 1 to %d days, not %d", service.MaxUsageDays, s.UsageDays)
	}
	if s.grace, err = time.ParseDuration(s.OutageGrace); err != nil || s.grace < 0 {
		wrong.add("OUTAGE_GRACE", "must be a length of time such as 60s or 2m, or 0s for none, not %q", s.OutageGrace)
	}
	oneOf("LOG", s.Log, "text", "json")
	return wrong
}

func (s *settings) checkAddresses(wrong *mistakes) {
	for _, at := range []struct{ setting, address string }{{"ADMIN_LISTEN", s.AdminListen}, {"LISTEN", s.Listen}} {
		if path, ok := strings.CutPrefix(at.address, unixPrefix); ok && path != "" {
			continue
		}
		_, port, err := net.SplitHostPort(at.address)
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n > 65535 {
			wrong.add(at.setting, "must be an address and a port, as in 127.0.0.1:8080 or :8080, or unix:PATH, not %q", at.address)
		}
	}
}

// postgres reports whether the database is PostgreSQL. If not, it is SQLite.
func (s *settings) postgres() bool { return isPostgres(s.Database) }

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// sqlitePath returns the path of the SQLite database.
func (s *settings) sqlitePath() string { return strings.TrimPrefix(s.Database, "sqlite:") }

func (s *settings) checkDatabase(wrong *mistakes) {
	path, sqlite := strings.CutPrefix(s.Database, "sqlite:")
	switch {
	case sqlite && strings.Contains(path, "://"):
		wrong.add("DATABASE", "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME, not both") // the value may hold a password
	case sqlite && (path == "" || strings.Contains(path, ":memory:")):
		wrong.add("DATABASE", "must name a file, as in sqlite:latchkey.db: a key that is acknowledged has to survive the process")
	case !sqlite && !s.postgres():
		// The value is not repeated: it may hold a password.
		wrong.add("DATABASE", "must be sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME")
	}
	var err error
	if s.tls, err = repository.ParseTLSPolicy(s.DatabaseTLS); err != nil {
		wrong.add("DATABASE_TLS", "%v", err)
	}
	if s.postgres() {
		s.checkPostgres("DATABASE", s.Database, wrong)
	}
	switch {
	case s.DatabaseDirect == "":
	case !s.postgres() || !isPostgres(s.DatabaseDirect):
		wrong.add("DATABASE_DIRECT", "must be postgres://…, beside a %sDATABASE that is one, too", settingPrefix)
	default:
		s.checkPostgres("DATABASE_DIRECT", s.DatabaseDirect, wrong)
	}
}

func (s *settings) checkPostgres(setting, address string, wrong *mistakes) {
	if err := repository.CheckAddress(address, s.tls); err != nil {
		wrong.add(setting, "%v", err) // does not repeat parts that may be secret
	}
}

// warnings returns what is valid but makes the instance less safe.
func (s *settings) warnings() (found []string) {
	for _, at := range []struct{ setting, address string }{{"DATABASE", s.Database}, {"DATABASE_DIRECT", s.DatabaseDirect}} {
		if s.arguments[at.setting] && isPostgres(at.address) && repository.HasPassword(at.address) {
			found = append(found, fmt.Sprintf("--%s holds a password, and "+
				"arguments are visible to everyone on this machine: set %s%s instead",
				flagName(at.setting), settingPrefix, at.setting))
		}
	}
	if s.postgres() && s.tls.Unverified {
		found = append(found, settingPrefix+
			"DATABASE_TLS is unverified: a machine between this one and the database can read and answer what is sent")
	}
	if strings.HasPrefix(s.PublicURL, "https:") && len(s.proxies) == 0 && !strings.HasPrefix(s.Listen, unixPrefix) {
		found = append(found, fmt.Sprintf("a proxy ends TLS for %s, and %sTRUSTED_PROXIES does not name it: "+
			"all clients look like one and share its limits",
			s.PublicURL, settingPrefix))
	}
	files := []string{s.masterKeyPath()}
	if !s.postgres() {
		files = append(files, s.sqlitePath())
	}
	for _, path := range files {
		const othersMayUse, groupMayWrite = 0o007, 0o020
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&(othersMayUse|groupMayWrite) != 0 {
			found = append(found, fmt.Sprintf("%s can be used by others on this machine (mode %04o): run chmod 600 %s",
				path, info.Mode().Perm(), path))
		}
	}
	return found
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
		wrong.add("MASTER_KEY", "PostgreSQL needs it, or %sMASTER_KEY_FILE, the same on every node; "+
			"make one with: openssl rand -base64 32", settingPrefix)
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

// publicURL returns the address that clients use. Without a setting it comes from
// the address that the server listens on, and works only on this machine.
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

func (s *settings) checkWebhooks(wrong *mistakes) {
	var err error
	if s.webhooks, err = outgoing.ParseNetworks(commaList(s.WebhookNetworks)); err != nil {
		wrong.add("WEBHOOK_NETWORKS", "must list addresses and networks, as in 10.2.0.0/16: %v", err)
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
		wrong.add("SMTP_URL", "%v", err) // does not repeat the value, which may contain a password
	}
}

// mailer returns what delivers email to the configured server, for an instance at
// publicURL.
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
