package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// verification is how the instance answers a question.
type verification struct {
	Answer      string   `json:"answer"` // the code
	MaxAge      *int     `json:"max_age"`
	Deadline    *int     `json:"deadline"`
	Scopes      []string `json:"scopes"`
	Environment string   `json:"environment"`
	Limits      bool     `json:"limits"`
	Raw         string   `json:"raw"`    // a body instead
	Status      int      `json:"status"` // another one than 200
	RetryAfter  string   `json:"retry_after"`
	Networks    []string `json:"allowed_ips"`
	Fault       string   `json:"fault"` // hang, reset, half, gzip or redirect
	Hold        bool     `json:"hold"`  // it answers when the case releases it
}

// change is what the instance says to the call that waits for changes.
type change struct {
	Changed []string `json:"changed"`
	Reset   bool     `json:"reset"`
	Status  int      `json:"status"`
}

// instance plays Latchkey.
type instance struct {
	address string
	server  *http.Server

	mu      sync.Mutex
	verify  verification
	asked   int
	ip      string        // that the last question named
	held    chan struct{} // closed when questions are answered that are held
	uses    map[string]int
	waiting chan change   // the call that waits; nil: none
	came    chan struct{} // receives when a call begins to wait
	polls   int
}

func newInstance() (*instance, error) {
	i := &instance{
		verify: verification{Answer: "valid"},
		uses:   map[string]int{},
		held:   make(chan struct{}),
		came:   make(chan struct{}, 1000),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i.address = l.Addr().String()
	i.serve(l)
	return i, nil
}

func (i *instance) serve(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/keys/verify", i.answer)
	mux.HandleFunc("POST /v1/keys/sync", i.sync)
	i.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = i.server.Serve(l) }()
}

// down ends all connections and takes none, or begins again at the same address.
func (i *instance) down(down bool) error {
	if down {
		return i.server.Close()
	}
	l, err := net.Listen("tcp", i.address)
	if err == nil {
		i.serve(l)
	}
	return err
}

// release answers the questions that are held.
func (i *instance) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.held)
	i.held = make(chan struct{})
}

// end ends everything.
func (i *instance) end() {
	i.release()
	_ = i.server.Close()
}

// tokenID is the public id of the token of a key.
func tokenID(key string) string { return "t" + key }

// text is the token of a key: the letter says which one.
func text(key string) string { return "lk_live_" + key + "_0123456789abcdefghij" }

func (i *instance) answer(w http.ResponseWriter, r *http.Request) {
	var question struct{ Key, IP string }
	_ = json.NewDecoder(r.Body).Decode(&question)
	i.mu.Lock()
	v, held := i.verify, i.held
	i.asked++
	i.ip = question.IP
	i.mu.Unlock()
	if v.Hold {
		<-held
	}
	switch v.Fault {
	case "hang":
		<-r.Context().Done()
		return
	case "reset", "half":
		conn, _, err := w.(http.Hijacker).Hijack() //nolint:forcetypeassert // of HTTP/1.1
		if err != nil {
			return
		}
		if v.Fault == "half" {
			_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"valid\":true,")
		}
		_ = conn.Close()
		return
	case "gzip":
		w.Header().Set("Content-Encoding", "gzip")
	case "redirect":
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "REQUESTID")
	if v.RetryAfter != "" {
		w.Header().Set("Retry-After", v.RetryAfter)
	}
	if v.Status != 0 {
		w.WriteHeader(v.Status)
	}
	if v.Raw != "" {
		_, _ = fmt.Fprint(w, v.Raw)
		return
	}
	respond(w, v.body(question.Key))
}

func respond(w io.Writer, body map[string]any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // the cases are wrong
	}
	_, _ = w.Write(text)
}

// body is the answer of verifyKey about a token.
func (v verification) body(token string) map[string]any {
	key := "?"
	if parts := strings.Split(token, "_"); len(parts) == 4 {
		key = parts[2]
	}
	maxAge := map[string]int{"valid": 60, "not_found": 5}[v.Answer]
	if v.Limits || v.Networks != nil {
		maxAge = 0
	}
	if v.MaxAge != nil {
		maxAge = *v.MaxAge
	}
	body := map[string]any{"valid": v.Answer == "valid", "code": v.Answer, "max_age": maxAge}
	if v.Answer == "not_found" {
		return body
	}
	scopes, environment := v.Scopes, v.Environment
	if scopes == nil {
		scopes = []string{"documents:read"}
	}
	if environment == "" {
		environment = "live"
	}
	body["token_id"] = tokenID(key)
	body["key"] = map[string]any{
		"id":          "key_" + key,
		"name":        key,
		"prefix":      "lk_live_" + key,
		"environment": environment,
		"scopes":      scopes,
		"metadata":    map[string]string{},
		"external_id": "customer-" + key,
		"status":      "active",
		"expires_at":  nil,
		"created_at":  "2026-03-02T09:30:00Z",
		"limits":      []any{},
		"allowed_ips": v.Networks,
	}
	if v.Deadline != nil {
		body["deadline"] = *v.Deadline
	}
	if v.Limits {
		limit := map[string]any{"name": "requests", "type": "rate", "remaining": 3, "limit": 5, "period": "minute", "exceeded": false}
		body["limits"] = []any{limit}
	}
	if slices.Contains([]string{"rate_limited", "quota_exceeded"}, v.Answer) {
		body["retry_after"] = 7
	}
	return body
}

// sync waits as syncKeys does: until the case says what has changed.
func (i *instance) sync(w http.ResponseWriter, r *http.Request) {
	var said struct {
		Cursor string
		Wait   int
		Uses   []struct {
			TokenID string `json:"token_id"`
			Count   int
			LastAt  time.Time `json:"last_at"`
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&said)
	waiting := make(chan change, 1)
	i.mu.Lock()
	i.polls++
	cursor := fmt.Sprint("c", i.polls)
	for _, u := range said.Uses {
		i.uses[u.TokenID] += u.Count
	}
	first := said.Cursor == ""
	if !first && said.Wait > 0 {
		i.waiting = waiting
		i.came <- struct{}{}
	}
	i.mu.Unlock()
	answer := change{Reset: first}
	if !first && said.Wait > 0 {
		select {
		case answer = <-waiting:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if answer.Status != 0 {
		w.Header().Set("X-Request-Id", "REQUESTID")
		w.WriteHeader(answer.Status)
		_, _ = fmt.Fprint(w, `{"code":"refused"}`)
		return
	}
	changed := []string{}
	for _, key := range answer.Changed {
		changed = append(changed, tokenID(key))
	}
	respond(w, map[string]any{"cursor": cursor, "changed": changed, "reset": answer.Reset})
}

// say answers the call that waits, and returns when the next one waits: the SDK has then
// heard it.
func (i *instance) say(c change) error {
	i.mu.Lock()
	waiting := i.waiting
	i.waiting = nil
	i.mu.Unlock()
	if waiting == nil {
		return errors.New("no call waits for changes")
	}
	waiting <- c
	if c.Status != 0 {
		return nil
	}
	return i.waits()
}

// waits returns when a call waits.
func (i *instance) waits() error {
	select {
	case <-i.came:
		return nil
	case <-time.After(patience):
		return errors.New("the SDK does not call for changes")
	}
}
