package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxBody is how large a request body may be, in bytes, unless the operation's
// x-max-body says otherwise.
const maxBody = 64 * 1024

func (k contract) checkBody(r *http.Request, w http.ResponseWriter) error {
	if encoding := r.Header.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body uncompressed.")
	}
	data, err := readBody(r, w, k.maxBody)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		if k.bodyRequired {
			return domain.Errorf(domain.CodeMalformedRequest, "This operation needs a JSON body.")
		}
		r.Body = checkedBody{http.NoBody, nil}
		return nil
	}
	if !isJSON(r.Header) {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body as JSON, with Content-Type: application/json.")
	}
	if err := k.body.checkText(r.Context(), data); err != nil {
		return err
	}
	r.Body = checkedBody{http.NoBody, data}
	return nil
}

func readBody(r *http.Request, w http.ResponseWriter, longest int64) ([]byte, error) {
	tooLarge := domain.Errorf(domain.CodePayloadTooLarge, "The body may have at most %d bytes.", longest)
	if r.ContentLength > longest {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longest))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, &domain.Error{Code: domain.CodeMalformedRequest, Detail: "The body ended before it was complete.", Err: err}
	}
	return data, nil
}

// isJSON reports whether the body is declared to be JSON, in UTF-8 as RFC 8259,
// section 8.1, has it; many clients spell that utf8.
func isJSON(h http.Header) bool {
	declared := h.Values(echo.HeaderContentType)
	if len(declared) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(declared[0])
	charset, given := params["charset"]
	return err == nil && mediaType == echo.MIMEApplicationJSON && (!given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8"))
}
