// Package mail writes the messages that Latchkey sends to people and delivers
// them by SMTP or, where no server is set up, shows them to the operator.
package mail

import (
	"bytes"
	_ "embed"
	"fmt"
	html "html/template"
	"strings"
	text "text/template"
	"unicode"
)

// Message is an email to one person, as plain text and as HTML with the same
// content. Link and bodies may hold a token, so none of them belongs in a log.
type Message struct {
	Kind    string // what it is about, for the log: verification, invitation, …
	To      string
	Subject string
	Text    string
	HTML    string
}

// Letter is what a message says. Its parts are plain text; both forms of the
// message are made from them.
type Letter struct {
	Kind       string   `json:"kind"`
	To         string   `json:"to"`
	Subject    string   `json:"subject"`
	Paragraphs []string `json:"paragraphs"`
	Action     Action   `json:"action"`  // zero: none
	Closing    string   `json:"closing"` // what to do if the mail was not expected
}

// Action is what a letter asks its reader to do.
type Action struct {
	Label string `json:"label"` // what the link is called
	Page  string `json:"page"`  // its address, without the token
	Token string `json:"token"` // may be empty
}

// URL is the address of the page. The token is in the fragment, which browsers
// do not send: it reaches neither the server's log nor another site's Referer.
func (a Action) URL() string {
	if a.Token == "" {
		return a.Page
	}
	return a.Page + "#token=" + a.Token
}

//go:embed message.txt
var textSource string

//go:embed message.html
var htmlSource string

var (
	textForm = text.Must(text.New("message.txt").Parse(textSource))
	htmlForm = html.Must(html.New("message.html").Parse(htmlSource))
)

// Write returns the letter as a message.
func (l Letter) Write() (Message, error) {
	l.Subject = line(l.Subject)
	m := Message{Kind: l.Kind, To: l.To, Subject: l.Subject}
	var plain, rich bytes.Buffer
	if err := textForm.Execute(&plain, l); err != nil {
		return Message{}, fmt.Errorf("write the mail %s: %w", l.Kind, err)
	}
	if err := htmlForm.Execute(&rich, l); err != nil {
		return Message{}, fmt.Errorf("write the mail %s: %w", l.Kind, err)
	}
	m.Text, m.HTML = plain.String(), rich.String()
	return m, nil
}

// Quote returns a name that a person chose as an email shows it: on one line
// and in quotation marks, so that it cannot pass for Latchkey's own words.
func Quote(name string) string {
	return "“" + strings.NewReplacer("“", "", "”", "").Replace(line(name)) + "”"
}

// line replaces what would end a line, or change the direction of writing.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Cf) {
			return ' '
		}
		return r
	}, s)
}
