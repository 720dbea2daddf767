package console

import (
	"html/template"
	"net/url"
)

// dotEnv is a token as a file to download, made by the page itself: the server
// keeps nothing that could be asked for again.
type dotEnv struct {
	Line string
	URL  template.URL
}

func newDotEnv(token string) dotEnv {
	line := "LATCHKEY_API_KEY=" + token
	return dotEnv{
		Line: line,
		URL:  template.URL("data:text/plain;charset=utf-8," + url.PathEscape(line+"\n")), //nolint:gosec // tokens are letters, digits and underscores
	}
}
