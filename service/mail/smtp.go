package mail

import (
	"context"
	"errors"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

// smtpTimeout bounds each step of a conversation with the server.
const smtpTimeout = 15 * time.Second

// SMTP delivers messages to a mail server.
type SMTP struct {
	client *gomail.Client
	from   string
}

// NewSMTP reads where email goes: smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS, or
// smtps:// for TLS from the first byte. smtp:// insists on STARTTLS unless the
// server is on this machine. Without from, email comes from latchkey at sender.
// Errors never repeat the address, which holds a password.
//
// hello is the name that EHLO gives, a host's name or its address.
func NewSMTP(address, sender, hello string) (*SMTP, error) {
	shape := errors.New("must look like smtp://USER:PASSWORD@HOST:587?from=latchkey@example.com, or smtps://… for TLS from the start")
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" {
		return nil, shape
	}
	for name := range u.Query() {
		if name != "from" {
			return nil, shape
		}
	}
	from := u.Query().Get("from")
	if from == "" {
		from = "latchkey@" + sender
	}
	parsed, err := mail.ParseAddress(from)
	if err != nil {
		return nil, errors.New("from must be an email address")
	}
	if err := CheckHello(hello); err != nil {
		return nil, err
	}
	options := []gomail.Option{gomail.WithTimeout(smtpTimeout), gomail.WithHELO(helloName(hello))}
	switch {
	case u.Scheme == "smtps":
		options = append(options, gomail.WithSSLPort(false))
	case local(u.Hostname()):
		options = append(options, gomail.WithTLSPortPolicy(gomail.TLSOpportunistic))
	default:
		options = append(options, gomail.WithTLSPortPolicy(gomail.TLSMandatory))
	}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, shape
		}
		options = append(options, gomail.WithPort(int(port)))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()),
			gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(u.Hostname(), options...)
	if err != nil {
		return nil, shape
	}
	return &SMTP{client, parsed.String()}, nil
}

// CheckHello returns an error for what is neither a host's name nor an address.
func CheckHello(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	if ascii, err := idna.Lookup.ToASCII(name); err != nil || ascii == "" {
		return errors.New("must be the name of a host, as in keys.example.com, or its address")
	}
	return nil
}

// helloName writes a host as EHLO has it: an address as a literal (RFC 5321,
// 4.1.3), a name in ASCII.
func helloName(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Is4():
		return "[" + ip.String() + "]"
	case err == nil:
		return "[IPv6:" + ip.WithZone("").String() + "]"
	}
	ascii, _ := idna.Lookup.ToASCII(host)
	return ascii
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Send hands the message to the server, which has it when the error is nil. All
// errors are of type *Failure.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(s.from); err != nil {
		return Fail(Deferred, "the sender's address in the settings was refused")
	}
	to, err := asciiDomain(m.To)
	if err != nil {
		return Fail(Address, "no email can reach its address")
	}
	if err := msg.To(to); err != nil {
		return Fail(Address, "no email can reach its address")
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes in return
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)

	client, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return connectionFailure(err)
	}
	defer client.Close()                                      //nolint:errcheck // the server has answered, or has gone
	defer context.AfterFunc(ctx, func() { client.Close() })() //nolint:errcheck // it is closed to end what waits
	if smtputf8, _ := client.Extension("SMTPUTF8"); !smtputf8 && !isASCII(to) {
		return Fail(Address, "its address has letters that this mail server cannot take")
	}
	if err := s.client.SendWithSMTPClient(client, msg); err != nil && !msg.IsDelivered() {
		return deliveryFailure(err)
	}
	_ = client.Quit() // it has the email
	return nil
}

// asciiDomain returns an address with its domain as the DNS has it, which every
// server takes (RFC 5890); what is before the @ has no such form.
func asciiDomain(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	domain, err := idna.Lookup.ToASCII(address[at+1:])
	return address[:at+1] + domain, err
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// connectionFailure says why the server was not reached, without its answer,
// which may quote the password. A refused sign-in is not final: once the settings
// are right, what has waited is sent.
func connectionFailure(err error) error {
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return Fail(Unreachable, network.Error())
	}
	return Fail(Unreachable, "the mail server did not take the connection: greeting, TLS, sign-in or time-out")
}

// deliveryFailure says what went wrong without what was sent: a server's answer
// may quote it.
func deliveryFailure(err error) error {
	sending, ok := errors.AsType[*gomail.SendError](err)
	if !ok || sending.ErrorCode() == 0 {
		return Fail(Unreachable, "the mail server was lost")
	}
	text := "the mail server answered " + strconv.Itoa(sending.ErrorCode()) + " to: " + sending.Reason.String()
	switch code := sending.ErrorCode(); {
	case code < 500, code == 530, code == 534, code == 535, code == 538: // the latter ask for another sign-in (RFC 4954)
		return Fail(Deferred, text)
	default:
		return Fail(Refused, text)
	}
}
