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

// Error is a refusal. Every method returns one, to be found with errors.AsType, if
// the instance answered but refused the request. Branch on Code, show Detail to
// people, and quote RequestID when you ask for help. If something else answered,
// such as a proxy, Code is empty.
type Error struct {
	Problem

	// RetryAfter is the wait that the instance asked for, or 0.
	RetryAfter time.Duration
}

// Error contains no secret: Latchkey's answers have none, and answers from others
// are left out.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("latchkey: %d %s", e.Status, e.Title)
	}
	return fmt.Sprintf("latchkey: %d %s: %s (request %s)", e.Status, e.Code, e.Detail, e.RequestID)
}

// maxProblem is much more than the size of any problem.
const maxProblem = 1 << 20

// refusal reads the error from an answer and closes its body. It returns nil if the
// answer is a success in the form that was asked for.
func refusal(res *http.Response) *Error {
	switch res.StatusCode {
	case http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusOK, http.StatusCreated:
		// A caller that asked for another form, such as CSV, reads it as it is.
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

// isJSON reports whether the body of an answer is JSON, by the same test as in the
// generated code.
func isJSON(res *http.Response) bool {
	return strings.Contains(res.Header.Get("Content-Type"), "json") && !strings.Contains(res.Header.Get("Content-Type"), "ndjson")
}

// retryAfter reads the Retry-After header in either form (RFC 9110, section
// 10.2.3). A date is by the same clock as the answer's Date header, which may
// differ from the local clock.
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
