package mail

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Log is used in place of a mail server if none is set up. The log says that
// there would have been an email and of which kind: never to whom, nor what is
// in it, since logs are stored and shipped, and a link in one is a way into an
// account. The person at the terminal sees the email itself.
type Log struct {
	Log      *slog.Logger
	Terminal io.Writer // a person's, and nothing that is stored; nil: there is none
}

// Send shows the message.
func (l Log) Send(ctx context.Context, m Message) error {
	l.Log.InfoContext(ctx, "a mail was not sent, since no mail server is set up", "mail", m.Kind, "shown", l.Terminal != nil)
	if l.Terminal == nil {
		return nil
	}
	_, err := fmt.Fprintf(l.Terminal, "\n--- mail to %s\nSubject: %s\n\n%s---\n\n", m.To, m.Subject, m.Text)
	return err
}
