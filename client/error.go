package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
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
// an answer that is none.
func refusal(res *http.Response) *Error {
	if res.StatusCode < http.StatusMultipleChoices {
		return nil
	}
	defer res.Body.Close()
	e := &Error{RetryAfter: retryAfter(res.Header)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil || json.Unmarshal(body, &e.Problem) != nil || e.Code == "" {
		e.Problem = Problem{Title: http.StatusText(res.StatusCode)}
	}
	e.Status = res.StatusCode
	return e
}

// retryAfter reads the Retry-After header in either of its forms (RFC 9110,
// section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
