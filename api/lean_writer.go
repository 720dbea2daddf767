package api

import (
	"strconv"
	"time"

	"github.com/latchkey-dev/latchkey/api/plainjson"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// appendProject appends the project of a key as ProjectFrom and plainjson have it.
func appendProject(b []byte, owner *domain.Tenant) []byte {
	p := &owner.Project
	b = appendOrNull(append(b, `{"audience":`...), p.Audience)
	b = appendTime(append(b, `,"created_at":`...), p.CreatedAt)
	b = plainjson.AppendString(append(b, `,"id":`...), string(p.ID))
	b = plainjson.AppendString(append(b, `,"key_prefix":`...), p.KeyPrefix)
	b = appendListOrNone(append(b, `,"limits":`...), owner.LimitsJSON())
	b = plainjson.AppendString(append(b, `,"name":`...), p.Name)
	b = plainjson.AppendString(append(b, `,"on_leak":`...), string(p.OnLeak))
	b = plainjson.AppendString(append(b, `,"organization_id":`...), string(p.OrganizationID))
	b = plainjson.AppendString(append(b, `,"slug":`...), p.Slug)
	b = plainjson.AppendString(append(b, `,"status":`...), string(p.Status))
	b = strconv.AppendInt(append(b, `,"token_epoch":`...), p.TokenEpoch, 10)
	b = strconv.AppendInt(append(b, `,"token_ttl":`...), p.TokenTTL, 10)
	b = appendTime(append(b, `,"updated_at":`...), p.UpdatedAt)
	return append(b, '}')
}

// appendVerification appends an answer as VerificationFrom and plainjson have
// it.
func appendVerification(b []byte, a service.Verification, now time.Time) []byte {
	b = plainjson.AppendString(append(b, `{"code":`...), string(a.Code))
	if a.Keep.Ends {
		b = strconv.AppendInt(append(b, `,"deadline":`...), a.Keep.Deadline, 10)
	}
	if !a.Key.IsZero() {
		b = appendVerifiedKey(append(b, `,"key":`...), a.Key, now)
	}
	if a.Limits.Limits.Len() > 0 {
		b = appendLimitStates(append(b, `,"limits":`...), &a, now)
	}
	b = strconv.AppendInt(append(b, `,"max_age":`...), a.Keep.MaxAge, 10)
	if a.Valid() {
		p := &a.Key.Tenant().Project
		b = plainjson.AppendString(append(b, `,"project":{"id":`...), string(p.ID))
		b = plainjson.AppendString(append(b, `,"name":`...), p.Name)
		b = append(plainjson.AppendString(append(b, `,"slug":`...), p.Slug), '}')
	}
	violated := a.Limits.Violated()
	if a.Limits.RetryAfter > 0 {
		b = strconv.AppendInt(append(b, `,"retry_after":`...), domain.Seconds(a.Limits.RetryAfter), 10)
	}
	if a.SpendID != "" { // it needs no escapes
		b = append(append(append(b, `,"spend_id":"`...), a.SpendID...), '"')
	}
	if !a.Key.IsZero() {
		b = append(append(append(b, `,"token_id":"`...), a.Key.TokenID()...), '"') // public ids need no escapes
	}
	b = strconv.AppendBool(append(b, `,"valid":`...), a.Valid())
	for i, name := range violated { // names of limits need no escapes
		b = append(append(append(b, []string{`,"violated":["`, `,"`}[min(i, 1)]...), name...), '"')
	}
	if len(violated) > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendLimitStates appends the state of limits as limitStates and plainjson have it.
func appendLimitStates(b []byte, a *service.Verification, now time.Time) []byte {
	for i, s := range a.Limits.States() {
		units, limited := s.Limit.Limit.Units()
		b = append(b, "[,"[min(i, 1)], '{')
		if s.Type == domain.RateLimit {
			b = append(strconv.AppendInt(append(b, `"burst":`...), s.Burst, 10), ',')
		}
		b = strconv.AppendBool(append(b, `"exceeded":`...), s.Exceeded)
		if s.Type != domain.RateLimit {
			b = strconv.AppendInt(append(b, `,"leased":`...), s.Leased, 10)
		}
		if limited {
			b = strconv.AppendInt(append(b, `,"limit":`...), units, 10)
		}
		b = append(append(b, `,"mode":"`...), s.Mode...)
		b = append(append(append(b, `","name":"`...), s.Name...), '"')
		if s.Returns() {
			b = strconv.AppendInt(append(b, `,"next_after":`...), domain.Seconds(s.Next), 10)
		}
		b = append(append(append(b, `,"per":"`...), s.Per...), '"')
		if limited {
			b = append(append(append(b, `,"period":"`...), s.Period...), '"')
		}
		b = strconv.AppendInt(append(b, `,"remaining":`...), s.Remaining, 10)
		b = appendTimeOrNull(append(b, `,"resets_at":`...), s.ResetsAt(now))
		b = append(append(b, `,"source":"`...), s.Source...)
		b = plainjson.AppendString(append(b, `","subject":`...), a.Limits.Limits.Counter(i, a.Key).Subject)
		b = append(append(b, `,"type":"`...), s.Type...)
		b = append(strconv.AppendInt(append(b, `","used":`...), s.Used, 10), '}')
	}
	return append(b, ']')
}

func appendVerifiedKey(b []byte, key domain.ProvenKey, now time.Time) []byte {
	f := key.Fields()
	b = append(b, `{"allowed_ips":[`...)
	first := true
	for n := range f.Networks() { // they need no escapes
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(n.AppendTo(append(b, '"')), '"')
	}
	b = appendTime(append(b, `],"created_at":`...), f.CreatedAt)
	b = append(f.AppendCreatorID(append(b, `,"created_by":{"id":"`...)), '"') // ids need no escapes
	b = plainjson.AppendString(append(b, `,"kind":`...), string(creatorKind(f.CreatedBy.Kind)))
	b = plainjson.AppendString(append(b, `},"environment":`...), string(f.Environment))
	b = appendTimeOrNull(append(b, `,"expires_at":`...), f.ExpiresAt)
	b = appendOrNull(append(b, `,"external_id":`...), f.ExternalID)
	b = plainjson.AppendString(append(b, `,"id":`...), string(f.ID))
	if !f.LeakedAt.IsZero() {
		b = appendTime(append(b, `,"leaked_at":`...), f.LeakedAt)
	}
	b = appendListOrNone(append(b, `,"limits":`...), f.LimitsJSON)
	b = append(b, `,"metadata":{`...)
	first = true
	for name, value := range f.Metadata() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = plainjson.AppendString(append(plainjson.AppendString(b, name), ':'), value)
	}
	b = plainjson.AppendString(append(b, `},"name":`...), f.Name)
	b = appendPlan(append(b, `,"plan":`...), f.Plan)
	b = appendPrefix(append(b, `,"prefix":`...), &f)
	b = plainjson.AppendString(append(b, `,"project_id":`...), string(f.ProjectID))
	if f.Retiring.Live(now) {
		b = plainjson.AppendString(append(b, `,"retiring":{"prefix":`...), f.Retiring.Prefix)
		b = append(appendTime(append(b, `,"valid_until":`...), f.Retiring.ValidUntil), '}')
	}
	b = appendTimeOrNull(append(b, `,"revoked_at":`...), f.RevokedAt)
	b = appendOrNull(append(b, `,"revoked_reason":`...), f.RevokedReason)
	b = appendTimeOrNull(append(b, `,"rotated_at":`...), f.RotatedAt)
	b = append(b, `,"scopes":[`...)
	first = true
	for scope := range f.Scopes() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = plainjson.AppendString(b, string(scope))
	}
	b = plainjson.AppendString(append(b, `],"status":`...), string(key.Status(now)))
	return append(b, '}')
}

func appendPlan(b []byte, p domain.KeyPlan) []byte {
	if p.ID == "" {
		return append(b, "null"...)
	}
	b = plainjson.AppendString(append(b, `{"id":`...), string(p.ID))
	return append(plainjson.AppendString(append(b, `,"name":`...), p.Name), '}')
}

// appendListOrNone appends a list that is JSON already; empty text is an empty list.
func appendListOrNone(b []byte, list string) []byte {
	if list == "" {
		return append(b, "[]"...)
	}
	return append(b, list...)
}

// appendPrefix appends the key's prefix. Latchkey's prefixes need no escapes; the
// prefix of an imported key may be any text.
func appendPrefix(b []byte, f *domain.Fields) []byte {
	start := len(b)
	b = append(f.AppendPrefix(append(b, '"')), '"')
	if text := b[start+1 : len(b)-1]; !plainjson.IsPlain(text) {
		return plainjson.AppendString(b[:start], string(text))
	}
	return b
}

func appendOrNull(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return plainjson.AppendString(b, s)
}

func appendTime(b []byte, t time.Time) []byte {
	return append(t.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
}

func appendTimeOrNull(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	return appendTime(b, t)
}
