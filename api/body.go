package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxBody is the largest request body in bytes, unless the operation has an
// x-max-body.
const maxBody = 64 * 1024

// checkBody reads the body and checks it against the contract. Before it reads
// more than maxBody, it calls room.
func (k contract) checkBody(r *http.Request, w http.ResponseWriter, room func() error) error {
	if encoding := r.Header.Get(echo.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return domain.Errorf(domain.CodeUnsupportedMediaType, "Send the body uncompressed.")
	}
	data, err := readBody(r, w, k.maxBody, room)
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

func readBody(r *http.Request, w http.ResponseWriter, longest int64, room func() error) ([]byte, error) {
	if r.ContentLength > longest {
		return nil, errTooLarge(longest)
	}
	body := http.MaxBytesReader(w, r.Body, longest)
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err == nil && len(data) > maxBody {
		if err := room(); err != nil {
			return nil, err
		}
		rest := newPaced(body, w)
		if data, err = readRest(data, rest, r.ContentLength, longest); err == nil {
			rest.done()
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, &domain.Error{Code: domain.CodeMalformedRequest, Detail: "The body arrived too slowly. " +
			"After the first 64 KiB, at least 128 KiB must arrive in a second.", Err: err}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge(longest)
	}
	if err != nil {
		return nil, &domain.Error{Code: domain.CodeMalformedRequest, Detail: "The body ended before it was complete.", Err: err}
	}
	return data, nil
}

func errTooLarge(longest int64) error {
	return domain.Errorf(domain.CodePayloadTooLarge, "The body may have at most %d bytes.", longest)
}

// readRest reads a large body to its end. It uses as much memory as the declared
// length or, without one, at most 1.5 times the longest body.
func readRest(begun []byte, rest io.Reader, declared, longest int64) ([]byte, error) {
	data := slices.Grow(begun, int(max(declared, 2*maxBody))-len(begun)+1)
	for {
		n, err := rest.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(make([]byte, 0, min(2*cap(data), int(longest)+1)), data...)
		}
	}
}

// How fast a large body must arrive. Its place is one of a few on this node, so a
// sender that is slower, or pauses for longer, loses it.
const (
	leastPace   = 128 << 10 // bytes a second
	longestWait = 3 * time.Second
	longestBody = 30 * time.Second
)

// paced reads a body that must arrive fast enough.
type paced struct {
	io.Reader

	setDeadline func(time.Time) error // fails only where there is no connection
	begun       time.Time
	due         time.Time // when the next bytes must be here
}

func newPaced(body io.Reader, w http.ResponseWriter) *paced {
	now := time.Now()
	return &paced{Reader: body, setDeadline: http.NewResponseController(w).SetReadDeadline, begun: now, due: now.Add(longestWait)}
}

func (p *paced) Read(b []byte) (int, error) {
	_ = p.setDeadline(p.due)
	n, err := p.Reader.Read(b)
	p.due = p.due.Add(time.Duration(n) * time.Second / leastPace)
	for _, latest := range []time.Time{time.Now().Add(longestWait), p.begun.Add(longestBody)} {
		if p.due.After(latest) {
			p.due = latest
		}
	}
	return n, err
}

// done says that the body is whole, so that the deadline of its last bytes does
// not end the request.
func (p *paced) done() { _ = p.setDeadline(p.begun.Add(longestBody)) }

// isJSON reports whether the Content-Type is JSON in UTF-8, as RFC 8259, section
// 8.1, requires. Many clients spell the charset utf8.
func isJSON(h http.Header) bool {
	declared := h.Values(echo.HeaderContentType)
	if len(declared) != 1 {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(declared[0])
	charset, given := params["charset"]
	return err == nil && mediaType == echo.MIMEApplicationJSON && (!given || strings.EqualFold(charset, "utf-8") ||
		strings.EqualFold(charset, "utf8"))
}
