package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-dev/latchkey/client"
)

// Options of a Verifier. The zero value takes everything from the environment.
type Options struct {
	URL        string // where Latchkey is reached; several with commas, all of one instance; empty: LATCHKEY_URL
	APIKey     string // of this service, with the scope keys:verify; empty: LATCHKEY_API_KEY
	APIKeyFile string // read instead, and again when the key is refused; empty: LATCHKEY_API_KEY_FILE

	// Environment that keys must be of, such as "live"; empty: any.
	Environment client.Environment
	// Header is the only header that keys are read from; empty: X-Api-Key, and
	// Authorization with the keyword or Bearer.
	Header  string
	Keyword string // empty: Api-Key
	// ClientIP returns the address that a request comes from, for keys with allowed_ips; nil: the
	// address of the connection. Behind a proxy, return what your own proxy has added.
	ClientIP func(*http.Request) string

	Grace   *time.Duration // how long kept answers are good without Latchkey, 0 to 10 minutes; nil: 60 s
	Wait    time.Duration  // how long a call for changes waits, 1 to 20 s; 0: 20 s
	Timeout time.Duration  // of a question; 0: 2 s
	Asking  int            // how many questions at the same time; 0: 16
	Kept    int            // how many answers are kept; 0: 10,000

	Log       *slog.Logger     // nil: slog.Default
	OutOfSync func(error)      // called when changes are not heard any more; nil: only the log says so
	Clock     func() time.Time // for tests; nil: time.Now
	Transport http.RoundTripper
}

// Result is what is known about a token.
type Result struct {
	Code         client.VerificationCode
	Key          *client.VerifiedKey // nil unless the token is of a key
	Verification client.Verification // with what limits say
	Local        bool                // answered from memory
}

// Stats are counts since the start.
type Stats struct {
	Hits, Asked int64
	Kept        int
	InSync      bool
	SyncAge     time.Duration // since changes were last heard
}

// ErrUnavailable means that there is no answer: refuse with 503.
var ErrUnavailable = errors.New("verify: no answer from Latchkey")

// Verifier verifies keys. It is safe for concurrent use. Make one, and close it at the end.
type Verifier struct {
	o     Options
	urls  []string
	http  *http.Client
	slots chan struct{}

	mu      sync.Mutex
	apiKey  string
	url     int // which of urls
	answers *store
	flights map[[sha256.Size]byte]*flight
	heard   heard
	stats   Stats
	said    time.Time // when the log last had a refusal of the own key

	stop    context.CancelFunc
	stopped chan struct{}
	fake    func(Question) *answer // instead of Latchkey
}

// New returns a verifier that follows changes until Close. It sends no request before
// it returns, so a wrong key is found by the first question.
func New(o Options) (*Verifier, error) {
	o.URL = cmp.Or(o.URL, os.Getenv("LATCHKEY_URL"))
	o.APIKeyFile = cmp.Or(o.APIKeyFile, os.Getenv("LATCHKEY_API_KEY_FILE"))
	o.APIKey = cmp.Or(o.APIKey, os.Getenv("LATCHKEY_API_KEY"))
	v := newVerifier(o)
	if *v.o.Grace < 0 || *v.o.Grace > 10*time.Minute || v.o.Wait < time.Second || v.o.Wait > 20*time.Second {
		return nil, errors.New("verify: Grace must be 0 to 10 minutes, and Wait 1 to 20 seconds")
	}
	for one := range strings.SplitSeq(o.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return nil, errors.New("verify: LATCHKEY_URL must start with https:// or http://")
		}
		v.urls = append(v.urls, strings.TrimRight(u.String(), "/"))
	}
	if err := v.readKey(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	go v.follow(ctx)
	return v, nil
}

func newVerifier(o Options) *Verifier {
	o.Keyword = cmp.Or(o.Keyword, "Api-Key")
	o.Wait, o.Timeout = cmp.Or(o.Wait, 20*time.Second), cmp.Or(o.Timeout, 2*time.Second)
	o.Asking, o.Kept = cmp.Or(o.Asking, 16), cmp.Or(o.Kept, 10_000)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Grace == nil {
		o.Grace = new(time.Minute)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.ClientIP == nil {
		o.ClientIP = peer
	}
	return &Verifier{
		o:       o,
		http:    newHTTP(o),
		slots:   make(chan struct{}, o.Asking),
		answers: newStore(o.Kept),
		flights: map[[sha256.Size]byte]*flight{},
		heard:   newHeard(),
		stopped: make(chan struct{}),
	}
}

// readKey reads the key of this service, if it is in a file.
func (v *Verifier) readKey() error {
	key := v.o.APIKey
	if v.o.APIKeyFile != "" {
		text, err := os.ReadFile(v.o.APIKeyFile)
		if err != nil {
			return fmt.Errorf("verify: read the key of this service: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	if key == "" {
		return errors.New("verify: this service needs a key: LATCHKEY_API_KEY")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.apiKey = key
	return nil
}

// Close stops following changes, and reports the uses that are not reported yet.
func (v *Verifier) Close() {
	v.stop()
	<-v.stopped
}

// Stats returns the counts.
func (v *Verifier) Stats() Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.o.Clock()
	s := v.stats
	s.Kept, s.InSync = v.answers.len(), v.inSync(now)
	if !v.heard.last.IsZero() {
		s.SyncAge = now.Sub(v.heard.last)
	}
	return s
}

// Question is what is asked about a token.
type Question struct {
	Token  string
	Scopes []client.Scope // that the key must hold, all of them
	IP     string         // the address that the request comes from; empty: keys with allowed_ips are refused
}

// Check returns what is known about a token. It returns ErrUnavailable if there is no answer.
func (v *Verifier) Check(ctx context.Context, q Question) (Result, error) {
	if !visible(q.Token) {
		return Result{Code: client.VerificationCodeNotFound}, nil
	}
	hash := sha256.Sum256([]byte(q.Token))
	answer, local := v.find(hash, time.Time{})
	if answer == nil {
		var err error
		if answer, err = v.ask(ctx, hash, q); err != nil {
			return Result{}, err
		}
	}
	r := Result{Code: answer.Code, Key: answer.Key, Verification: answer.Verification, Local: local}
	switch {
	case !answer.Valid || answer.Key == nil:
	case v.o.Environment != "" && answer.Key.Environment != v.o.Environment:
		r.Code = client.VerificationCodeWrongEnvironment
	case !holds(answer.Key, q.Scopes):
		r.Code = client.VerificationCodeInsufficientScope
	case local:
		v.used(*answer.TokenID)
	}
	return r, nil
}

func holds(key *client.VerifiedKey, scopes []client.Scope) bool {
	for _, want := range scopes {
		if !slices.Contains(key.Scopes, want) {
			return false
		}
	}
	return true
}

// visible reports whether a token is one word of visible ASCII of at most 512 bytes, as
// all of Latchkey's and all imported ones are.
func visible(token string) bool {
	if token == "" || len(token) > 512 {
		return false
	}
	return strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
