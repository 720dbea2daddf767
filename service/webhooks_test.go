package service_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/repository/storetest"
	"github.com/latchkey-dev/latchkey/service"
	"github.com/latchkey-dev/latchkey/service/outgoing"
	"github.com/latchkey-dev/latchkey/service/servicetest"
)

// received is one request that a receiver got.
type received struct {
	id, timestamp string
	signatures    []string
	body          []byte
}

// receiver is a server that tenants have named.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	all    []received
	answer func(received) int // the status
}

func newReceiver(t *testing.T, answer func(received) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		h := request.Header
		got := received{h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), strings.Fields(h.Get("Webhook-Signature")), body}
		r.mu.Lock()
		r.all = append(r.all, got)
		r.mu.Unlock()
		w.WriteHeader(r.answer(got))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// reaching are the options under which webhooks may reach the servers of httptest.
func reaching(t *testing.T, r *receiver) service.Options {
	t.Helper()
	networks, err := outgoing.ParseNetworks([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(r.Certificate())
	return service.Options{Webhooks: outgoing.Options{Networks: networks, Roots: roots}}
}

// signedBy reports whether one of the signatures was made with the secret.
func signedBy(t *testing.T, r received, secret domain.WebhookSecret) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(r.id + "." + r.timestamp + "."))
	mac.Write(r.body)
	return slices.Contains(r.signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// hooked is a world with a project and a webhook that is sent everything. Its node does
// nothing in the background.
type hooked struct {
	*world
	*receiver

	project *service.Project
	webhook domain.Webhook
	secret  domain.WebhookSecret
}

// onEachHook runs a test on each database, with a receiver that answers what the test
// says.
func onEachHook(t *testing.T, answer func(received) int, test func(h hooked)) {
	t.Parallel()
	for name, dsn := range storetest.Engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(hook(t, dsn(t), newReceiver(t, answer)))
		})
	}
}

func hook(t *testing.T, dsn string, r *receiver) hooked {
	t.Helper()
	w := prepare(t, storetest.New(t, dsn), dsn)
	w.App = w.Another(reaching(t, r))
	_, project := w.tenant(w.signUp("ann@example.com"))
	webhook, secret, err := project.CreateWebhook(w.Context(), domain.WebhookSpec{URL: r.URL, Events: []string{"*"}})
	w.check(err)
	return hooked{w, r, project, webhook, secret}
}

// create makes a key, which is an event.
func (h hooked) create() domain.Key {
	h.Helper()
	key, _, err := h.project.CreateKey(h.Context(), domain.KeySpec{Name: "backend", ExternalID: "customer-4711"})
	h.check(err)
	return key
}

// requests returns those for one event.
func (h hooked) requests(event domain.EventID) (all []received) {
	return slices.DeleteFunc(h.got(), func(r received) bool { return r.id != string(event) })
}

func (h hooked) deliveries() []domain.Delivery {
	h.Helper()
	list, err := h.project.ListWebhookDeliveries(h.Context(), h.webhook.ID, domain.Page{Limit: 50})
	h.check(err)
	return list.Items
}

func (h hooked) send() {
	h.Helper()
	h.check(h.SendWebhooks(h.Context()))
}

func (h hooked) again() domain.Webhook {
	h.Helper()
	w, err := h.project.GetWebhook(h.Context(), h.webhook.ID)
	h.check(err)
	return w
}

func ok(received) int { return http.StatusNoContent }

// Guarantees that what happens to a key reaches the receiver once, signed, with the key and
// without the name or address of who did it.
func TestWebhook(t *testing.T) {
	onEachHook(t, ok, func(h hooked) {
		key := h.create()
		h.send()
		h.send()
		all := h.got()
		if len(all) != 1 || !signedBy(h.T, all[0], h.secret) {
			h.Fatalf("got %d requests", len(all))
		}
		var body struct {
			Type string `json:"type"`
			Data struct {
				ID    string            `json:"id"`
				Actor map[string]string `json:"actor"`
				Key   struct {
					ID         domain.KeyID `json:"id"`
					ExternalID string       `json:"external_id"`
				} `json:"key"`
			} `json:"data"`
		}
		h.check(json.Unmarshal(all[0].body, &body))
		got := body.Data
		if body.Type != "key.created" || got.ID != all[0].id || got.Key.ID != key.ID || got.Key.ExternalID != "customer-4711" {
			h.Errorf("got %s", all[0].body)
		}
		if _, named := got.Actor["name"]; named {
			h.Errorf("the actor is named: %s", all[0].body)
		}
		d := h.deliveries()
		if len(d) != 1 || d[0].Status != domain.DeliveryDelivered || d[0].ResponseStatus != 204 || d[0].Attempt != 1 {
			h.Errorf("got %+v", d)
		}
		if w := h.again(); !w.Proven() {
			h.Errorf("the success is not noted: %+v", w)
		}
	})
}

// Guarantees that a failure is tried again after a while with the same id and body, whatever
// has become of the key since, that both secrets sign for a day after a rotation, and
// that an event can be delivered again.
func TestWebhookIsTriedAgain(t *testing.T) {
	onEachHook(t, func(r received) int {
		if strings.Contains(string(r.body), "canary") {
			return http.StatusOK
		}
		return http.StatusServiceUnavailable
	}, func(h hooked) {
		key := h.create()
		h.send()
		h.send() // it is not due
		event := h.deliveries()[0].EventID
		if d := h.deliveries()[0]; d.Status != domain.DeliveryPending || d.Error != "status" || d.ResponseStatus != 503 {
			h.Errorf("got %+v", d)
		}
		if h.again().FailingSince.IsZero() {
			h.Error("the failure is not noted")
		}
		_, err := h.project.RevokeKey(h.Context(), key.ID, "canary")
		h.check(err)
		rotated, secret, err := h.project.RotateWebhookSecret(h.Context(), h.webhook.ID, "")
		h.check(err)
		if want := h.Now().Add(24 * time.Hour); !rotated.PreviousUntil.Equal(want) {
			h.Errorf("got %v, want %v", rotated.PreviousUntil, want)
		}
		h.Pass(10 * time.Second)
		h.send()
		two := h.requests(event)
		if len(two) != 2 || string(two[1].body) != string(two[0].body) {
			h.Fatalf("got %d requests", len(two))
		}
		if !signedBy(h.T, two[1], h.secret) || !signedBy(h.T, two[1], secret) || signedBy(h.T, two[0], secret) {
			h.Error("it is not signed by both secrets after the rotation")
		}
		h.Pass(25 * time.Hour)
		_, err = h.project.Redeliver(h.Context(), h.webhook.ID, event)
		h.check(err)
		h.send()
		last := h.requests(event)
		if len(last) != 3 || signedBy(h.T, last[2], h.secret) || !signedBy(h.T, last[2], secret) {
			h.Errorf("got %d requests", len(last))
		}
	})
}

// Guarantees that 410 and five days of failures disable a webhook, that the trail says so,
// that nothing more is sent then, and that a test of it is refused.
func TestWebhookIsDisabled(t *testing.T) {
	onEachHook(t, func(r received) int {
		if strings.Contains(string(r.body), "key.created") {
			return http.StatusGone
		}
		return http.StatusInternalServerError
	}, func(h hooked) {
		test := func() error {
			_, err := h.project.TestWebhook(h.Context(), h.webhook.ID)
			h.send()
			return err
		}
		h.create()
		h.send()
		if got := h.again(); got.Status != domain.WebhookDisabled || h.countEvents("webhook.disabled") != 1 {
			h.Errorf("after 410: got %+v", got)
		}
		h.code(test(), domain.CodeConflict)
		active := domain.WebhookActive
		_, err := h.project.UpdateWebhook(h.Context(), h.webhook.ID, domain.WebhookPatch{Status: &active})
		h.check(err)
		for range 6 {
			h.check(test())
			if h.again().Status != domain.WebhookActive {
				h.Fatal("disabled too early")
			}
			h.Pass(20 * time.Hour)
		}
		h.check(test())
		if got := h.again(); got.Status != domain.WebhookDisabled || h.countEvents("webhook.disabled") != 2 {
			h.Errorf("after five days: got %+v", got)
		}
		before := len(h.got())
		h.create()
		h.Pass(48 * time.Hour)
		h.send()
		if got := len(h.got()); got != before {
			h.Errorf("%d requests after it was disabled", got-before)
		}
	})
}

// Guarantees that a receiver that does not answer delays no other one of the project.
func TestHangingReceiverDelaysNoOther(t *testing.T) {
	t.Parallel()
	hangs, end := make(chan struct{}, 1), make(chan struct{})
	slow := newReceiver(t, func(received) int {
		select {
		case hangs <- struct{}{}:
		default:
		}
		<-end
		return http.StatusOK
	})
	defer close(end)
	h := hook(t, storetest.SQLite(t), slow)
	quick := newReceiver(t, ok)
	_, _, err := h.project.CreateWebhook(h.Context(), domain.WebhookSpec{URL: quick.URL, Events: []string{"key.created"}})
	h.check(err)
	servicetest.Follow(t, h.App)
	h.create()
	<-hangs
	for range 20 {
		h.create()
	}
	servicetest.Eventually(t, "the other receiver has all", func() bool { return len(quick.got()) >= 21 })
	if got := len(slow.got()); got != 1 {
		t.Errorf("the receiver that hangs got %d requests", got)
	}
}

// Guarantees that a node that is killed while it delivers loses nothing: another one
// delivers, with the same id and body, after the lease.
func TestDeliveryOutlivesItsNode(t *testing.T) {
	onEachHook(t, ok, func(h hooked) {
		h.create()
		project, err := h.project.Get()
		h.check(err)
		now := h.Now()
		claimed, err := h.Store.ClaimDeliveries(h.Context(), project.Scope(), h.webhook.ID, now, now.Add(time.Minute), 12)
		h.check(err)
		h.send()
		if len(claimed) != 1 || len(h.got()) != 0 {
			h.Fatalf("%d are claimed, and %d were sent", len(claimed), len(h.got()))
		}
		h.Pass(time.Minute)
		h.send()
		if d := h.deliveries()[0]; len(h.got()) != 1 || d.Status != domain.DeliveryDelivered || d.Attempt != 2 {
			h.Errorf("got %+v", d)
		}
	})
}

// Guarantees that a paused webhook is sent nothing, and later what was queued before.
func TestPausedWebhook(t *testing.T) {
	onEachHook(t, ok, func(h hooked) {
		set := func(status domain.WebhookStatus) {
			_, err := h.project.UpdateWebhook(h.Context(), h.webhook.ID, domain.WebhookPatch{Status: &status})
			h.check(err)
		}
		h.create()
		set(domain.WebhookPaused)
		h.create()
		h.send()
		if got := len(h.got()); got != 0 {
			h.Errorf("%d requests while it is paused", got)
		}
		set(domain.WebhookActive)
		h.send()
		if got := len(h.got()); got != 1 {
			h.Errorf("%d requests after it was paused", got)
		}
	})
}

// Guarantees that a lost answer brings the same secret again, as long as it is in use.
func TestWebhookSecretOfALostAnswer(t *testing.T) {
	onEachHook(t, ok, func(h hooked) {
		spec := domain.WebhookSpec{URL: h.URL, Events: []string{"*"}, IdempotencyKey: "0123456789abcdef"}
		first, secret, err := h.project.CreateWebhook(h.Context(), spec)
		h.check(err)
		again, same, err := h.project.CreateWebhook(h.Context(), spec)
		h.check(err)
		if again.ID != first.ID || same.Reveal() != secret.Reveal() || secret.Reveal() == "" {
			h.Errorf("got %s and %s", first.ID, again.ID)
		}
		_, _, err = h.project.RotateWebhookSecret(h.Context(), first.ID, "")
		h.check(err)
		_, _, err = h.project.CreateWebhook(h.Context(), spec)
		h.code(err, domain.CodeConflict)
	})
}

// Guarantees that no webhook is made for an address inside, or with what no webhook may have,
// and that a project has ten at most.
func TestWebhooksThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storetest.SQLite(t))
	_, p := w.tenant(w.signUp("ann@example.com"))
	create := func(url string, events ...string) error {
		_, _, err := p.CreateWebhook(w.Context(), domain.WebhookSpec{URL: url, Events: events})
		return err
	}
	for _, url := range []string{
		"https://127.0.0.1", "https://localhost", "http://example.com", "https://10.0.0.1", "https://[::1]", "https://2130706433",
		"https://0x7f.1", "https://example.com:22", "https://ann:secret@example.com", "https://example.com/#a", "ftp://example.com",
		"https://", "https://１２７.0.0.1", "https://example.com/ a", "https://ex\\ample.com", "//example.com", "https://example.com:",
	} {
		if err := create(url, "*"); domain.CodeOf(err) != domain.CodeValidationFailed {
			t.Errorf("%s: got %v", url, err)
		}
	}
	for _, events := range [][]string{nil, {"*", "key.created"}, {"key.made"}, {"key.created", "key.created"}} {
		w.code(create("https://example.com", events...), domain.CodeValidationFailed)
	}
	for range domain.MaxWebhooks {
		w.check(create("https://example.com/webhooks?a=b", "*"))
	}
	w.code(create("https://example.com", "*"), domain.CodeConflict)
}

// Guarantees that no event is too large for a receiver, and that what is left out is said.
func TestLargeEventIsShortened(t *testing.T) {
	onEachHook(t, ok, func(h hooked) {
		metadata := map[string]string{"large": strings.Repeat("<", 4000)} // each has six bytes in JSON
		_, _, err := h.project.CreateKey(h.Context(), domain.KeySpec{Name: "large", Metadata: metadata})
		h.check(err)
		h.send()
		body := h.got()[0].body
		if len(body) > 20<<10 || !strings.Contains(string(body), `"truncated":true`) || !strings.Contains(string(body), "key_") {
			h.Errorf("%d bytes", len(body))
		}
	})
}
