package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
)

// expect compares what was seen since the last expectation.
func (p *player) expect(e expectation) error {
	var errs []error
	p.mu.Lock()
	for _, got := range p.answers {
		errs = append(errs, e.answer(got, p.django))
	}
	p.mu.Unlock()
	if asked := p.questions(); e.Asked != nil && asked != *e.Asked {
		errs = append(errs, fmt.Errorf("asked %d questions, want %d", asked, *e.Asked))
	}
	p.instance.mu.Lock()
	p.asked = p.instance.asked
	if e.IP != "" && p.ip != e.IP {
		errs = append(errs, fmt.Errorf("the question has the address %q, want %s", p.ip, e.IP))
	}
	p.instance.mu.Unlock()
	for key, want := range e.Uses {
		until(func() bool { return p.used(key) >= want })
		if got := p.used(key); got != want {
			errs = append(errs, fmt.Errorf("reported %d uses of %s, want %d", got, key, want))
		}
	}
	// Another process writes the log.
	if e.Log != "" && !until(func() bool { return regexp.MustCompile(e.Log).MatchString(p.subject.logged()) }) {
		errs = append(errs, fmt.Errorf("the log has nothing like %s", e.Log))
	}
	return errors.Join(errs...)
}

// answer compares one answer of the subject.
func (e expectation) answer(got response, django bool) error {
	if got.err != nil {
		return got.err
	}
	want := e.Status
	if django && want == http.StatusUnauthorized {
		want = http.StatusForbidden
	}
	var errs []error
	if want != 0 && got.status != want {
		errs = append(errs, fmt.Errorf("got %d, want %d: %s", got.status, want, got.body))
	}
	var problem struct{ Code, Type, Title, Detail string }
	if e.Code != "" && (json.Unmarshal(got.body, &problem) != nil || problem.Code != e.Code || !django && problem.Type == "") {
		errs = append(errs, fmt.Errorf("got the problem %s, want %s", got.body, e.Code))
	}
	for name, want := range e.Headers {
		if django && name != "Retry-After" { // Django's own
			continue
		}
		if value := got.header.Get(name); !regexp.MustCompile(want).MatchString(value) {
			errs = append(errs, fmt.Errorf("got %s: %q, want %s", name, value, want))
		}
	}
	return errors.Join(errs...)
}

// used returns how many uses of a key were reported.
func (p *player) used(key string) int {
	p.instance.mu.Lock()
	defer p.instance.mu.Unlock()
	return p.uses[tokenID(key)]
}
