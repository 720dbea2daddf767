package service

import (
	"encoding/json"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// maxEventBody is how many bytes a receiver is sent at most. From an event that would be
// larger, the changes are left out, and then the metadata of the key.
const maxEventBody = 20 << 10

// eventBody is what a receiver is sent, in the form of Standard Webhooks.
type eventBody struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      eventData `json:"data"`
}

// eventData is an event of the audit trail without the name, address and browser of who
// caused it: those may be read by listAuditEvents.
type eventData struct {
	ID             domain.EventID        `json:"id"`
	OrganizationID domain.OrganizationID `json:"organization_id"`
	ProjectID      domain.ProjectID      `json:"project_id"`
	Actor          eventParty            `json:"actor"`
	Target         eventParty            `json:"target"`
	Changes        domain.Changes        `json:"changes"`
	Key            *eventKey             `json:"key,omitempty"`
	Truncated      bool                  `json:"truncated,omitempty"`
}

type eventParty struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// eventKey is the key that an event is about, as it is when the event is first sent.
type eventKey struct {
	ID          domain.KeyID       `json:"id"`
	Name        string             `json:"name"`
	Prefix      string             `json:"prefix"`
	Environment domain.Environment `json:"environment"`
	Status      domain.KeyStatus   `json:"status"`
	ExternalID  *string            `json:"external_id"`
	Metadata    map[string]string  `json:"metadata"`
	CreatedAt   time.Time          `json:"created_at"`
	ExpiresAt   *time.Time         `json:"expires_at"`
	RevokedAt   *time.Time         `json:"revoked_at"`
	LastUsedAt  *time.Time         `json:"last_used_at"`
}

func newEventKey(k domain.Key, now time.Time) *eventKey {
	return &eventKey{
		ID:          k.ID,
		Name:        k.Name,
		Prefix:      k.Prefix,
		Environment: k.Environment,
		Status:      k.Status(now),
		ExternalID:  orNull(k.ExternalID),
		Metadata:    k.Metadata,
		CreatedAt:   k.CreatedAt,
		ExpiresAt:   orNull(k.ExpiresAt),
		RevokedAt:   orNull(k.RevokedAt),
		LastUsedAt:  orNull(k.LastUsedAt),
	}
}

// orNull returns nil for the zero value.
func orNull[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// writeEvent returns what a receiver is sent of an event. key is nil if the event is about
// none, or about one that is gone.
func writeEvent(e domain.Event, key *domain.Key, now time.Time) ([]byte, error) {
	b := eventBody{e.Action, e.At, eventData{
		ID:             e.ID,
		OrganizationID: e.OrganizationID,
		ProjectID:      e.ProjectID,
		Actor:          eventParty{Kind: string(e.Actor.Kind), ID: e.Actor.ID},
		Target:         eventParty{Kind: e.Target.Kind, ID: e.Target.ID, Name: e.Target.Name},
		Changes:        e.Changes,
	}}
	if key != nil {
		b.Data.Key = newEventKey(*key, now)
	}
	for _, shorten := range []func(){
		func() {},
		func() { b.Data.Truncated, b.Data.Changes = true, domain.Changes{} },
		func() {
			if b.Data.Key != nil {
				b.Data.Key.Metadata = map[string]string{}
			}
		},
	} {
		shorten()
		text, err := json.Marshal(b)
		if err != nil || len(text) <= maxEventBody {
			return text, err
		}
	}
	b.Data.Key = nil
	return json.Marshal(b)
}
