package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

const (
	// maxBody is how large a request body may be, in bytes, unless the operation's
	// x-max-body says otherwise.
	maxBody = 64 * 1024

	// maxDepth is how deep a body may nest. No body that we take goes deeper than 3.
	maxDepth = 16
)

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
		r.Body, r.ContentLength = http.NoBody, 0
		return nil
	}
	if !isJSON(r.Header) {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body as JSON, with Content-Type: application/json.")
	}
	value, err := decode(data)
	if err != nil {
		return err
	}
	if v := violations(k.body, value); len(v) > 0 {
		return v.Err()
	}
	r.Body = checkedBody{http.NoBody, value}
	return nil
}

// checkedBody is a request body that has been read and checked already. The
// generated code takes the value from here instead of decoding the text again by
// other rules, such as ignoring letter case.
type checkedBody struct {
	io.ReadCloser
	value any
}

// ValidatedValue returns the body as it was checked.
func (b checkedBody) ValidatedValue() any { return b.value }

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

// decode reads a body as strictly as JSON can be read: one value and nothing
// behind it, no name twice in an object, valid UTF-8 (RFC 7493), and no NUL,
// which databases cannot hold.
func decode(data []byte) (any, error) {
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, malformed(err)
	}
	var v domain.Invalid
	if !inspect(&v, value, "", 1) {
		return nil, domain.Errorf(domain.CodeMalformedRequest, "The body nests deeper than %d levels.", maxDepth)
	}
	return value, v.Err()
}

func malformed(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON: the same name stands twice in one object.")
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return domain.Errorf(domain.CodeMalformedRequest, "The body is not valid JSON, from byte %d on.", e.ByteOffset)
	}
	return domain.Errorf(domain.CodeMalformedRequest, "The body holds a number that is out of range.") // nothing else is left to go wrong
}

// inspect notes every NUL, and reports whether value is not too deep.
func inspect(v *domain.Invalid, value any, at string, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch value := value.(type) {
	case string:
		if strings.ContainsRune(value, 0) {
			v.Add(at, "must not hold NUL")
		}
	case []any:
		for i, item := range value {
			if !inspect(v, item, at+"/"+strconv.Itoa(i), depth+1) {
				return false
			}
		}
	case map[string]any:
		for name, item := range value {
			if strings.ContainsRune(name, 0) {
				v.Add(at, "must not have names that hold NUL")
			}
			if !inspect(v, item, at+"/"+escape(name), depth+1) {
				return false
			}
		}
	}
	return true
}
