package api

import (
	"context"
	"net/http"
	"time"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The headers of draft-ietf-httpapi-ratelimit-headers-10, as Go writes their names.
const (
	headerRateLimit       = "Ratelimit"
	headerRateLimitPolicy = "Ratelimit-Policy"
)

// setRateLimit adds to an answer what the limits of the calling key are and what
// remains of them. An answer to a key without limits stays as it is.
func setRateLimit(h http.Header, d *domain.Decision) {
	if d.Limits.Len() > 0 {
		h[headerRateLimitPolicy] = d.Limits.Policy()
		h[headerRateLimit] = []string{string(d.AppendHeader(make([]byte, 0, 64)))}
	}
}

// GetKeyLimits answers the limits that hold for a key.
func (h *handlers) GetKeyLimits(ctx context.Context, r GetKeyLimitsRequestObject) (GetKeyLimitsResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	limits, err := project.KeyLimits(ctx, r.KeyID)
	return GetKeyLimits200JSONResponse{Items: h.limits(limits)}, err
}

// ResetLimit makes a limit of a key as good as new.
func (h *handlers) ResetLimit(ctx context.Context, r ResetLimitRequestObject) (ResetLimitResponseObject, error) {
	project, err := h.app.Project(ctx, caller(ctx), r.ProjectID)
	if err != nil {
		return nil, err
	}
	limits, err := project.ResetLimit(ctx, r.KeyID, r.Name, value(given(value(r.Body).Reason)))
	return ResetLimit200JSONResponse{Items: h.limits(limits)}, err
}

func (h *handlers) limits(l service.KeyLimits) []LimitState {
	return limitStates(&l.Limits, l.Key, h.app.Now())
}

// limitStates returns the limits of a key as clients see them at the time now.
func limitStates(d *domain.Decision, key domain.ProvenKey, now time.Time) []LimitState {
	states := []LimitState{}
	for i, s := range d.States() {
		state := LimitState{
			Name:      s.Name,
			Type:      LimitStateType(s.Type),
			Source:    LimitStateSource(s.Source),
			Per:       LimitStatePer(s.Per),
			Subject:   d.Limits.Counter(i, key).Subject,
			Mode:      LimitStateMode(s.Mode),
			Used:      s.Used,
			Remaining: s.Remaining,
			ResetsAt:  nullable.NewNullNullable[time.Time](),
			Exceeded:  s.Exceeded,
		}
		if s.Type == domain.RateLimit {
			state.Burst = &s.Burst
		} else {
			state.Leased = &s.Leased
		}
		if units, limited := s.Limit.Limit.Units(); limited {
			state.Limit, state.Period = &units, new(LimitStatePeriod(s.Period))
		}
		if s.Returns() {
			state.NextAfter = new(domain.Seconds(s.Next))
		}
		if at := s.ResetsAt(now); !at.IsZero() {
			state.ResetsAt.Set(at)
		}
		states = append(states, state)
	}
	return states
}
