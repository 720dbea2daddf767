package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxForm is the largest form in bytes. The longest token and all scopes fit.
const maxForm = 16 * 1024

// readForm reads the form and the credentials of a request of OAuth. A parameter may
// be given once (RFC 6749, section 3.2); those that are not known are ignored.
func (c *call) readForm(r *http.Request, w http.ResponseWriter) error {
	media, _, _ := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType))
	if media != echo.MIMEApplicationForm || r.Header.Get(echo.HeaderContentEncoding) != "" {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body as a form, with Content-Type: %s.", echo.MIMEApplicationForm)
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	if err != nil {
		return domain.Errorf(domain.CodeMalformedRequest, "The body cannot be read, or is longer than %d bytes.", maxForm)
	}
	r.Body = http.NoBody
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not a form.")
	}
	for name, values := range form {
		if len(values) > 1 && known(name) {
			return domain.Errorf(domain.CodeMalformedRequest, "The parameter %s was given more than once.", name)
		}
	}
	c.form, r.Form, r.PostForm = form, form, form
	value, given, err := single(r.Header, authorization)
	if err != nil {
		return err
	}
	if c.authorization = value; given && value == "" {
		return domain.Errorf(domain.CodeMalformedRequest, "The Authorization header is empty.")
	}
	c.sent, err = c.guard.credentials.read(r.Header)
	return err
}

// known reports whether a parameter of OAuth has a meaning here.
func known(name string) bool {
	switch name {
	case "grant_type", "client_id", "client_secret", "scope", "resource", "token", "ip", "subject_token", "subject_token_type",
		"requested_token_type", "actor_token":
		return true
	}
	return false
}

// callForm returns the form of the request.
func callForm(ctx context.Context) url.Values {
	c, _ := callOf(ctx)
	return c.form
}
