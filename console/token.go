package console

import (
	"html/template"
	"net/url"
)

// dotEnv is a token as a file to download. The page contains the file, so the
// server stores nothing that could be requested again.
type dotEnv struct {
	Line string
	URL  template.URL
}

func newDotEnv(token string) dotEnv {
	line := "LATCHKEY_API_KEY=" + token
	return dotEnv{
		Line: line,
		//nolint:gosec // tokens are letters, digits and underscores
		URL: template.URL("data:text/plain;charset=utf-8," + url.PathEscape(line+"\n")),
	}
}
