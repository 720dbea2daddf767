package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
)

// webhook makes a webhook of a project, and sends it an event if that is wanted. Where
// the project has too many, the oldest one goes first.
func (w *world) webhook(t *testing.T, n tenant, event bool) (webhook, delivery string) {
	t.Helper()
	w.makeRoomForWebhooks(t, n)
	var made api.Webhook
	w.call(t, http.MethodPost, n.path("/webhooks"), n.owner.as, map[string]any{
		"url": "https://example.com/webhooks", "events": []string{"key.created", "key.leaked"},
	}).want(t, http.StatusCreated, &made)
	w.secret(*made.Secret)
	if !event {
		return string(made.ID), ""
	}
	var sent api.Delivery
	w.call(t, http.MethodPost, n.path("/webhooks/"+string(made.ID)+"/test"), n.owner.as, nil).want(t, http.StatusAccepted, &sent)
	return string(made.ID), string(sent.ID)
}

// makeRoomForWebhooks deletes the oldest webhooks of a tenant's project where there are
// nearly as many as there may be.
func (w *world) makeRoomForWebhooks(t *testing.T, n tenant) {
	t.Helper()
	var list api.WebhookList
	w.call(t, http.MethodGet, n.path("/webhooks"), n.owner.as, nil).want(t, http.StatusOK, &list)
	for i := len(list.Items) - 1; i >= domain.MaxWebhooks/2; i-- {
		w.call(t, http.MethodDelete, n.path("/webhooks/"+string(list.Items[i].ID)), n.owner.as, nil).want(t, http.StatusNoContent, nil)
	}
}

// Guarantees that the secret of a webhook is in the answers that make it and in no other,
// and that a webhook of another project is like one that does not exist.
func TestWebhookSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, other := w.tenant(t, "ada"), w.tenant(t, "bob")
	id, delivery := w.webhook(t, n, true)
	at := n.path("/webhooks/" + id)
	var rotated api.Webhook
	w.call(t, http.MethodPost, at+"/rotate", n.owner.as, nil).want(t, http.StatusOK, &rotated)
	if !strings.HasPrefix(*rotated.Secret, "whsec_") || rotated.PreviousSecretUntil.IsNull() {
		t.Errorf("got %+v", rotated)
	}
	for _, path := range []string{at, n.path("/webhooks"), at + "/deliveries"} {
		if got := w.call(t, http.MethodGet, path, n.owner.as, nil); strings.Contains(string(got.body), "whsec_") {
			t.Errorf("%s answers the secret: %s", path, got.body)
		}
	}
	for path, method := range map[string]string{
		other.path("/webhooks/" + id): http.MethodGet, other.path("/webhooks/" + id + "/rotate"): http.MethodPost,
		other.path("/webhooks/" + id + "/deliveries"):                            http.MethodGet,
		other.path("/webhooks/" + id + "/test"):                                  http.MethodPost,
		other.path("/webhooks/" + id + "/deliveries/" + delivery + "/redeliver"): http.MethodPost,
	} {
		w.call(t, method, path, other.owner.as, nil).fails(t, http.StatusNotFound, domain.CodeNotFound)
	}
}
