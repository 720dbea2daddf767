package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/api/permission"
	"github.com/latchkey-dev/latchkey/api/problem"
)

//go:embed reference
var reference embed.FS

var errorPage = template.Must(template.ParseFS(reference, "reference/errors.html"))

// htmlPage is a page of /docs. It loads only what its policy allows.
type htmlPage struct {
	body   []byte
	policy string
}

// The reference has a script, which adds styles and images to the page and calls
// this instance. The page of error codes has a style sheet.
const (
	referencePolicy = "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; connect-src 'self'"
	errorsPolicy    = "style-src 'self'"
)

func (p htmlPage) write(w http.ResponseWriter) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; "+p.policy+"; form-action 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	_, err := w.Write(p.body)
	return err
}

// VisitGetReferenceResponse writes the page.
func (p htmlPage) VisitGetReferenceResponse(w http.ResponseWriter) error { return p.write(w) }

// VisitGetErrorReferenceResponse writes the page.
func (p htmlPage) VisitGetErrorReferenceResponse(w http.ResponseWriter) error { return p.write(w) }

// GetReference answers the page that shows the contract and lets its reader send
// requests.
func (h *handlers) GetReference(context.Context, GetReferenceRequestObject) (GetReferenceResponseObject, error) {
	body, err := reference.ReadFile("reference/reference.html")
	return htmlPage{body, referencePolicy}, err
}

// GetErrorReference answers the page that explains the error codes.
func (h *handlers) GetErrorReference(context.Context, GetErrorReferenceRequestObject) (GetErrorReferenceResponseObject, error) {
	var body bytes.Buffer
	err := errorPage.Execute(&body, problem.Explanations())
	return htmlPage{body.Bytes(), errorsPolicy}, err
}

// addReferenceFiles serves the files that the pages of /docs load.
func addReferenceFiles(e *echo.Echo) {
	for name, mediaType := range map[string]string{
		"reference.js": "text/javascript; charset=utf-8", "reference.css": "text/css; charset=utf-8",
		"errors.css": "text/css; charset=utf-8", "scalar.js": "text/javascript; charset=utf-8",
	} {
		e.GET("/docs/"+name, referenceFile(name, mediaType), Require(permission.Public))
	}
}

// referenceFile answers an embedded file. A compressed file is sent compressed to
// clients that accept that, as all browsers do.
func referenceFile(name, mediaType string) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Type", mediaType)
		h.Set("Cache-Control", "public, max-age=3600")
		file, err := reference.Open("reference/" + name)
		if err == nil {
			defer file.Close()
			_, err = io.Copy(c.Response(), file)
			return err
		}
		packed, err := reference.Open("reference/" + name + ".gz")
		if err != nil {
			return err
		}
		defer packed.Close()
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			_, err = io.Copy(c.Response(), packed)
			return err
		}
		unpacked, err := gzip.NewReader(packed)
		if err != nil {
			return err
		}
		_, err = io.Copy(c.Response(), unpacked) //nolint:gosec // the embedded file is trusted
		return err
	}
}
