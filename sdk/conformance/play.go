package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// failure is a case that did not go as it must.
type failure struct {
	name string
	err  error
}

// playAll plays the cases with some processes of the subject, each case with an instance of its own.
func playAll(cases []scenario, command []string, processes int, django bool) (failed []failure) {
	var mu sync.Mutex
	fail := func(name string, err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = append(failed, failure{name, err})
	}
	next := make(chan scenario, len(cases))
	for _, c := range cases {
		next <- c
	}
	close(next)
	var playing sync.WaitGroup
	for range processes {
		playing.Go(func() {
			s, err := startSubject(command)
			if err != nil {
				fail("the subject starts", err)
				return
			}
			defer s.stop()
			for c := range next {
				if err := play(c, s, django); err != nil {
					fail(c.Name, err)
				}
			}
		})
	}
	playing.Wait()
	return failed
}

// player plays one case.
type player struct {
	*instance

	subject    *subject
	django     bool
	asked      int // that were expected already
	background sync.WaitGroup
	mu         sync.Mutex
	answers    []response
}

type response struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// patience is how long an event is waited for that must come.
const patience = 30 * time.Second

// play plays a case and returns what was not as expected.
func play(c scenario, s *subject, django bool) (err error) {
	in, err := newInstance()
	if err != nil {
		return err
	}
	defer in.end()
	p := &player{instance: in, subject: s, django: django}
	if err := s.begin("http://"+in.address, c.Options); err != nil {
		return err
	}
	defer func() {
		in.release()
		p.background.Wait()
		if closed := s.control("close", nil, nil); err == nil && closed != nil {
			err = closed
		}
		if err != nil {
			err = fmt.Errorf("%w\n     | %s", err, strings.ReplaceAll(strings.TrimSpace(s.logged()), "\n", "\n     | "))
		}
	}()
	if !c.Cold {
		if err := errors.Join(p.waits(), p.advance(step{Advance: 6})); err != nil {
			return err
		}
	}
	for n, one := range c.Steps {
		if err := p.step(one); err != nil {
			return fmt.Errorf("step %d: %w", n+1, err)
		}
	}
	if strings.Contains(s.logged(), "0123456789abcdefghij") || strings.Contains(s.logged(), "secret-of-the-service") {
		return errors.New("a token is in the log")
	}
	return nil
}

func (p *player) step(s step) error {
	if s.Verify != nil {
		p.instance.mu.Lock()
		p.verify = *s.Verify
		p.instance.mu.Unlock()
	}
	if s.Down != nil {
		if err := p.down(*s.Down); err != nil {
			return err
		}
	}
	if s.Sync != nil {
		if err := p.say(*s.Sync); err != nil {
			return err
		}
	}
	if s.Release {
		p.release()
	}
	if s.Advance != 0 {
		if err := p.advance(s); err != nil {
			return err
		}
	}
	if s.Send != nil {
		p.request(*s.Send)
	}
	if err := p.wait(s); err != nil {
		return err
	}
	if s.Close {
		if err := p.subject.control("close", nil, nil); err != nil {
			return err
		}
	}
	if s.Expect != nil {
		return p.expect(*s.Expect)
	}
	return nil
}

// wait waits for what a step waits for.
func (p *player) wait(s step) error {
	if !until(func() bool { return p.questions() >= s.Arrive }) {
		return fmt.Errorf("%d questions came, want %d", p.questions(), s.Arrive)
	}
	if s.InSync != nil {
		var stats struct {
			InSync bool `json:"in_sync"`
		}
		if !until(func() bool { return p.subject.control("stats", nil, &stats) == nil && stats.InSync == *s.InSync }) {
			return fmt.Errorf("the SDK is in sync: %t", stats.InSync)
		}
	}
	if s.Join {
		p.background.Wait()
	}
	time.Sleep(time.Duration(s.PauseMS) * time.Millisecond)
	return nil
}

// until waits for a condition, and reports whether it came.
func until(is func() bool) bool {
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// questions returns how many questions came since the last expectation.
func (p *player) questions() int {
	p.instance.mu.Lock()
	defer p.instance.mu.Unlock()
	return p.instance.asked - p.asked
}

// advance moves the clock of the SDK. Unless it is silent, the SDK then hears that
// nothing has changed.
func (p *player) advance(s step) error {
	if err := p.subject.control(fmt.Sprintf("advance?seconds=%v", s.Advance), nil, nil); err != nil || s.Silent {
		return err
	}
	return p.say(change{})
}

// request sends requests to the subject.
func (p *player) request(r request) {
	p.mu.Lock()
	p.answers = nil
	p.mu.Unlock()
	for range max(1, r.Times) {
		p.background.Go(func() {
			got := p.send(r)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.answers = append(p.answers, got)
		})
	}
	if !r.Background {
		p.background.Wait()
	}
}

func (p *player) send(r request) (got response) {
	path := r.Path
	if path == "" {
		path = "/documents"
	}
	req, err := http.NewRequest(http.MethodGet, p.subject.address+path, nil)
	if err != nil {
		return response{err: err}
	}
	if r.Key != "" {
		name, value := "X-Api-Key", text(r.Key)
		if p.django {
			r.Header = "Api-Key "
		}
		if r.Header != "" {
			name, value = "Authorization", r.Header+value
		}
		req.Header.Add(name, value)
	}
	for _, h := range r.Headers {
		req.Header.Add(h[0], strings.NewReplacer("$A", text("A"), "$LONG", strings.Repeat("a", 513)).Replace(h[1]))
	}
	res, err := caller.Do(req)
	if err != nil {
		return response{err: err}
	}
	defer res.Body.Close()
	got.status, got.header = res.StatusCode, res.Header
	got.body, got.err = io.ReadAll(res.Body)
	return got
}
