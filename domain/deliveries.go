package domain

import "time"

// DeliveryStatus is what has become of an event for a webhook.
type DeliveryStatus string

// The states of deliveries.
const (
	DeliveryPending   DeliveryStatus = "pending"   // it will be tried, for the first time or again
	DeliveryDelivered DeliveryStatus = "delivered" // the receiver has answered 2xx
	DeliveryFailed    DeliveryStatus = "failed"    // it was tried for the last time
)

// Delivery is an event of the audit trail that a webhook is sent, with what the last
// attempt showed. Of the receiver's answer only the status is known.
type Delivery struct {
	WebhookID      WebhookID
	EventID        EventID // the same in every attempt, so receivers know what they have
	OrganizationID OrganizationID
	ProjectID      ProjectID
	Event          string // the name
	Body           Hidden // what is sent, which is the customer's; empty: not fixed yet
	Status         DeliveryStatus
	Attempt        int
	ResponseStatus int           // of HTTP; 0: no answer
	Duration       time.Duration // of the last attempt
	Error          string        // class of the failure; empty: none
	CreatedAt      time.Time
	AttemptedAt    time.Time // zero: not yet
	DueAt          time.Time // of the next attempt; zero: none
}

// retryAfter are the waits before each further attempt, after the example of Standard
// Webhooks.
var retryAfter = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour,
	24 * time.Hour,
}

// RetryAfter returns how long to wait after a number of attempts; false: that was the
// last one.
func RetryAfter(attempts int) (time.Duration, bool) {
	if attempts < 1 || attempts > len(retryAfter) {
		return 0, false
	}
	return retryAfter[attempts-1], true
}

// WebhookPatience is for how long a webhook may fail before it is disabled.
const WebhookPatience = 5 * 24 * time.Hour

// StatusGone is the answer of a receiver that wants nothing more.
const StatusGone = 410

// Attempted is the delivery after an attempt. status is 0 if there was no answer, and class
// is empty for a success.
func (d Delivery) Attempted(status int, class string, began time.Time, took, jitter time.Duration) Delivery {
	d.ResponseStatus, d.Error, d.Duration, d.AttemptedAt, d.DueAt = status, class, took, began, time.Time{}
	if class == "" {
		d.Status = DeliveryDelivered
		return d
	}
	d.Status = DeliveryFailed
	if wait, again := RetryAfter(d.Attempt); again && status != StatusGone {
		d.Status, d.DueAt = DeliveryPending, began.Add(took+wait+jitter)
	}
	return d
}
