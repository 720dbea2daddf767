package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error is a refusal: what every method returns, found with errors.AsType, when
// the instance answered and did not do what was asked. Branch on Code; show
// Detail to people; name RequestID when asking for help. Where something between
// here and the instance answered in its stead, Code is empty.
type Error struct {
	Problem

	// RetryAfter is how long the instance asked to wait, or 0.
	RetryAfter time.Duration
}

// Error holds no secret: Latchkey's own answers hold none, and what others
// answered is left out.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("latchkey: %d %s", e.Status, e.Title)
	}
	return fmt.Sprintf("latchkey: %d %s: %s (request %s)", e.Status, e.Code, e.Detail, e.RequestID)
}

// maxProblem is far above the size of any problem.
const maxProblem = 1 << 20

// refusal reads the error out of an answer, and closes its body. It is nil for
// an answer that is none: an answer of success in the form that was asked for.
func refusal(res *http.Response) *Error {
	switch res.StatusCode {
	case http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusOK, http.StatusCreated:
		// A caller that asked for another form, such as CSV, gets it as it is.
		if isJSON(res) || res.Request != nil && res.Request.Header.Get("Accept") != "" {
			return nil
		}
	}
	defer res.Body.Close()
	if res.StatusCode < http.StatusMultipleChoices {
		return &Error{Problem: Problem{Status: res.StatusCode, Title: "the answer is not Latchkey's"}}
	}
	e := &Error{RetryAfter: retryAfter(res.Header)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil || json.Unmarshal(body, &e.Problem) != nil || e.Code == "" {
		e.Problem = Problem{Title: http.StatusText(res.StatusCode)}
	}
	e.Status = res.StatusCode
	return e
}

// isJSON reports whether the body of an answer is JSON, as the generated code
// sees it.
func isJSON(res *http.Response) bool {
	return strings.Contains(res.Header.Get("Content-Type"), "json") && !strings.Contains(res.Header.Get("Content-Type"), "ndjson")
}

// retryAfter reads the Retry-After header in either of its forms (RFC 9110,
// section 10.2.3). A date is one of the clock that the answer's Date is from, and
// ours may differ.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if now, err := http.ParseTime(h.Get("Date")); err == nil {
		return max(0, at.Sub(now))
	}
	return max(0, time.Until(at))
}
