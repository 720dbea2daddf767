package mail_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"unicode"

	"github.com/latchkey-dev/latchkey/service/mail"
)

func letter() mail.Letter {
	return mail.Letter{
		Kind: "verification", To: "ann@example.com", Subject: "Grüße\r\nBcc: eve@example.com", Paragraphs: []string{"Hello <b>Ann</b>."},
		Action:  mail.Action{Label: "Confirm", Page: "https://keys.example.com/console/verify-email", Token: "canary-token"},
		Closing: "Else do nothing.",
	}
}

// serve answers one SMTP conversation, refusing at the command named, and
// returns what it received.
func serve(t *testing.T, refuse string) (address string, told <-chan string) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	heard := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		heard <- converse(conn, refuse)
	}()
	return listener.Addr().String(), heard
}

func converse(conn net.Conn, refuse string) string {
	var said strings.Builder
	fmt.Fprint(conn, "220 test ESMTP\r\n")
	data := false
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		command, _, _ := strings.Cut(lines.Text(), " ")
		switch {
		case data && lines.Text() == ".":
			data = false
			fmt.Fprint(conn, "250 taken\r\n")
		case data:
		case refuse != "" && command == refuse:
			fmt.Fprint(conn, "550 not with canary-token canary-password\r\n")
		case command == "EHLO":
			fmt.Fprint(conn, "250-test\r\n250 8BITMIME\r\n")
		case command == "DATA":
			data = true
			fmt.Fprint(conn, "354 go on\r\n")
		case command == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return said.String()
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
	return said.String()
}

// A mail reaches the server in both forms, and nothing in it adds a header.
func TestSMTP(t *testing.T) {
	t.Parallel()
	address, told := serve(t, "")
	s, err := mail.NewSMTP("smtp://"+address+"?from=keys@example.com", "localhost", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	m, err := letter().Write()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := <-told
	for _, want := range []string{
		"MAIL FROM:<keys@example.com>", "RCPT TO:<ann@example.com>", "Auto-Submitted: auto-generated",
		"multipart/alternative", "text/plain", "text/html", "canary-token", "&lt;b&gt;",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the server did not receive %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "\nBcc:") {
		t.Errorf("the subject added a header:\n%s", got)
	}
}

// What a server answers, which may quote the mail or the password, stays out of
// the error, for that is logged.
func TestSMTPErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, refuse := range []string{"MAIL", "RCPT", "DATA"} {
		address, _ := serve(t, refuse)
		s, err := mail.NewSMTP("smtp://"+address, "localhost", "localhost")
		if err != nil {
			t.Fatal(err)
		}
		m, err := letter().Write()
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), m)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s refused: got %v, want an error without secrets", refuse, err)
		}
	}
}

func TestSMTPAddresses(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"smtp://localhost", "smtps://user:canary@mail.example.com",
		"smtp://user:p%40ss@mail.example.com:587?from=Keys%20%3Ckeys@example.com%3E",
	} {
		if _, err := mail.NewSMTP(good, "keys.example.com", "keys.example.com"); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "mail.example.com", "http://canary@mail", "smtp://", "smtp://h/path", "smtp://h?x=canary",
		"smtp://h?from=canary", "smtp://canary:x@h:99999"} {
		if _, err := mail.NewSMTP(bad, "keys.example.com", "keys.example.com"); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error that does not repeat it", bad, err)
		}
	}
}

// Without a server the log never holds a token or an address; a terminal, where
// there is one, shows the mail.
func TestLog(t *testing.T) {
	t.Parallel()
	m, err := letter().Write()
	if err != nil {
		t.Fatal(err)
	}
	var log, terminal bytes.Buffer
	for _, l := range []mail.Log{
		{Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		{Log: slog.New(slog.NewTextHandler(&log, nil)), Terminal: &terminal},
	} {
		if err := l.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	}
	if strings.Contains(log.String(), "canary") || strings.Contains(log.String(), "ann@") ||
		!strings.Contains(log.String(), "verification") {
		t.Errorf("the log says:\n%s", log.String())
	}
	if !strings.Contains(terminal.String(), "#token=canary-token") {
		t.Errorf("the terminal shows:\n%s", terminal.String())
	}
	broken := mail.Log{Log: slog.New(slog.DiscardHandler), Terminal: failing{}}
	if err := broken.Send(t.Context(), m); err == nil {
		t.Error("a terminal that fails went unnoticed")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("gone") }

// Guarantees that a name of a stranger's choice stays a name in an email: it ends no
// line, starts no header, closes no quotation and does not change the direction of
// writing, in the subject and in both forms of the text.
func TestNamesStayNames(t *testing.T) {
	t.Parallel()
	const name = "Acme”\r\nBcc: eve@example.com\n\n\u202egnp.exe\u2066\u2028\u200f\u009b31m\x1b[2J\x00“"
	l := letter()
	l.Subject = "You are invited to " + mail.Quote(name)
	l.Paragraphs = []string{mail.Quote(name) + " invites you."}
	m, err := l.Write()
	if err != nil {
		t.Fatal(err)
	}
	for form, text := range map[string]string{"subject": m.Subject, "text": m.Text, "HTML": m.HTML} {
		at := strings.IndexFunc(text, func(r rune) bool {
			return unicode.IsControl(r) && (r != '\n' || form == "subject") || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
		})
		if at >= 0 || strings.Contains(text, "\nBcc:") {
			t.Errorf("%s: %q", form, text)
		}
		want := strings.Count(text, "Acme") // once more in the title of the HTML
		if opened, closed := strings.Count(text, "“"), strings.Count(text, "”"); opened != want || closed != want {
			t.Errorf("%s has %d opening and %d closing quotation marks, want %d: %q", form, opened, closed, want, text)
		}
	}
}
