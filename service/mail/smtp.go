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

	gomail "github.com/wneessen/go-mail"
)

// smtpTimeout bounds each step of a conversation with the server.
const smtpTimeout = 15 * time.Second

// SMTP delivers messages to a mail server.
type SMTP struct {
	client *gomail.Client
	from   string
}

// NewSMTP reads where mails go: smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS, or
// smtps:// for TLS from the first byte. smtp:// insists on STARTTLS unless the
// server is on this machine. Without from, mails come from latchkey at sender.
// Errors never repeat the address, which holds a password.
func NewSMTP(address, sender string) (*SMTP, error) {
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
		return nil, errors.New("from must be an e-mail address")
	}
	options := []gomail.Option{gomail.WithTimeout(smtpTimeout)}
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
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	client, err := gomail.NewClient(u.Hostname(), options...)
	if err != nil {
		return nil, shape
	}
	return &SMTP{client, parsed.String()}, nil
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Send hands the message to the server, which has it when the error is nil.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(s.from); err != nil {
		return errors.New("the sender's address was refused")
	}
	if err := msg.To(m.To); err != nil {
		return errors.New("the recipient's address was refused")
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes in return
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	return deliveryError(s.client.DialAndSendWithContext(ctx, msg))
}

// deliveryError tells what went wrong without what was sent: a server's answer
// may quote either.
func deliveryError(err error) error {
	if err == nil {
		return nil
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return network
	}
	if sending, ok := errors.AsType[*gomail.SendError](err); ok {
		return errors.New("the mail server refused: " + sending.Reason.String())
	}
	return errors.New("the mail server did not take the mail: sign-in, TLS or time-out")
}
