package repository

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// errEscape is for an address that is not divided where it seems to be. It
// repeats no part of the address, since any of it may be part of a password.
var errEscape = errors.New("cannot be divided into user, password, host and name: escape what is special in a user or a password " +
	"(%40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %5B for [, %25 for %, %20 for a space)")

var (
	postgresURL = regexp.MustCompile(`^postgres(?:ql)?://(?:([^@/?#\s]*)@)?([^@/?#\s]*)(?:/[^@?#\s]*)?(?:\?[^@#\s]*)?$`)
	badEscape   = regexp.MustCompile(`%(?:$|.?$|[^0-9A-Fa-f]|.[^0-9A-Fa-f])`)
	hostAndPort = regexp.MustCompile(`^(?:(?:[0-9A-Za-z._%~-]*|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?(?:,|$))*$`)
)

// readAddress is like pgx.ParseConfig, but its errors say what is wrong and
// repeat nothing that may be secret.
func readAddress(dsn string) (*pgx.ConnConfig, error) {
	parts := postgresURL.FindStringSubmatch(dsn)
	if parts == nil || badEscape.MatchString(dsn) || strings.ContainsAny(parts[1], "[]") || !hostAndPort.MatchString(parts[2]) {
		return nil, errEscape
	}
	config, err := pgx.ParseConfig(dsn)
	if err == nil {
		return config, nil
	}
	u, parseErr := url.Parse(dsn)
	if parseErr != nil {
		return nil, errEscape
	}
	if err := checkParameters(u.Query()); err != nil {
		return nil, err
	}
	return nil, errors.New("cannot be read; it looks like postgres://user:password@host:5432/name, " +
		"and the PG… variables of the environment count, too")
}

// checkParameters names the parameter that makes an address unreadable.
func checkParameters(query url.Values) error {
	modes := []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
	if mode := query.Get("sslmode"); mode != "" && !slices.Contains(modes, mode) {
		return fmt.Errorf("sslmode must be one of %s", strings.Join(modes, ", "))
	}
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		path := query.Get(name)
		if path == "" || path == "system" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return fmt.Errorf("%s cannot be read: %w", name, err)
		}
	}
	if (query.Get("sslcert") == "") != (query.Get("sslkey") == "") {
		return errors.New("sslcert and sslkey must be given together")
	}
	// Of the remaining parameters, find the one without which the address is
	// readable.
	for _, name := range slices.Sorted(maps.Keys(query)) {
		rest := url.Values{}
		maps.Copy(rest, query)
		rest.Del(name)
		if _, err := pgx.ParseConfig("postgres://localhost/?" + rest.Encode()); err == nil {
			return fmt.Errorf("the parameter %s has a value that cannot be used", name)
		}
	}
	return nil
}

// TLSPolicy says which addresses of PostgreSQL need no verified TLS, besides
// loopback and sockets.
type TLSPolicy struct {
	Unverified bool // no address needs it
	Hosts      []string
	Networks   []netip.Prefix
}

// ParseTLSPolicy reads "verified", "unverified", or hosts and networks
// separated by commas.
func ParseTLSPolicy(text string) (TLSPolicy, error) {
	if text == "" || text == "verified" || text == "unverified" {
		return TLSPolicy{Unverified: text == "unverified"}, nil
	}
	var p TLSPolicy
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		if network, err := netip.ParsePrefix(item); err == nil {
			p.Networks = append(p.Networks, network.Masked())
			continue
		}
		if item == "verified" || item == "unverified" || !hostName.MatchString(item) {
			return p, errors.New("must be verified, unverified, or a list of hosts and networks, as in postgres,10.0.0.0/8")
		}
		p.Hosts = append(p.Hosts, strings.ToLower(item))
	}
	return p, nil
}

var hostName = regexp.MustCompile(`^[0-9A-Za-z:._-]+$`)

func (p TLSPolicy) exempts(host string) bool {
	if p.Unverified || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		in := func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) }
		return ip.Unmap().IsLoopback() || slices.ContainsFunc(p.Networks, in) || slices.Contains(p.Hosts, host)
	}
	return slices.Contains(p.Hosts, strings.ToLower(host))
}

// CheckAddress returns an error if the address of a PostgreSQL database cannot
// be read, or if another machine on the way could read or answer what is sent
// to it. Errors contain nothing that may be secret.
func CheckAddress(dsn string, policy TLSPolicy) error {
	config, err := readAddress(dsn)
	if err != nil {
		return err
	}
	ways := append([]*pgconn.FallbackConfig{{Host: config.Host, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	for _, way := range ways {
		if !verified(way.TLSConfig) && !policy.exempts(way.Host) {
			return fmt.Errorf("the connection to %s would not be verified, so that another machine could read it or answer: "+
				"add sslmode=verify-full to the address, and sslrootcert=FILE where the certificate is of an authority of your own",
				way.Host)
		}
	}
	return nil
}

// verified reports whether the server must show a certificate of a known
// authority; for verify-ca pgx checks that itself.
func verified(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil)
}

// HasPassword reports whether an address contains a password.
func HasPassword(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return true // it cannot be ruled out
	}
	_, set := u.User.Password()
	return set || u.Query().Has("password")
}

// Redact returns an address for a log: the place of the database and the user,
// without the password and the parameters.
func Redact(dsn string) string {
	if path, sqlite := strings.CutPrefix(dsn, "sqlite:"); sqlite {
		if strings.Contains(path, "?") || strings.Contains(path, ":") && strings.Contains(path, "@") {
			return "sqlite:…" // the path may be meant as an address with a password
		}
		return "sqlite:" + path
	}
	if _, err := readAddress(dsn); err != nil {
		return "the database"
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "the database"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	return shown.String()
}
