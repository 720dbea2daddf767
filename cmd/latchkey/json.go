package main

import (
	"time"

	"github.com/latchkey-dev/latchkey/api"
	"github.com/latchkey-dev/latchkey/domain"
	"github.com/latchkey-dev/latchkey/service"
)

// The JSON output of the command line has the same shapes as the API.

func userJSON(u domain.User) any               { return api.UserFrom(u) }
func organizationJSON(o domain.MemberOf) any   { return api.OrganizationFrom(o) }
func projectJSON(p domain.Project) any         { return api.ProjectFrom(p) }
func eventJSON(e domain.Event) any             { return api.AuditEventFrom(e) }
func planJSON(p domain.Plan) any               { return api.PlanFrom(p) }
func grantedJSON(g domain.Granted) any         { return api.GrantedCreditsFrom(g) }
func creditEntryJSON(e domain.CreditEntry) any { return api.CreditEntryFrom(e) }
func keyJSON(k domain.Key) any                 { return api.KeyFrom(k, time.Now()) }

func serviceAccountJSON(a domain.ServiceAccount) any { return api.ServiceAccountFrom(a) }
func serviceTokenJSON(t domain.ServiceToken) any     { return api.ServiceTokenFrom(t) }

func createdServiceTokenJSON(t domain.ServiceToken, token domain.Token) any {
	return api.CreatedServiceToken{ServiceToken: api.ServiceTokenFrom(t), Token: token.Reveal()}
}

func createdKeyJSON(k domain.Key, t domain.Token) any {
	return api.CreatedKey{Key: api.KeyFrom(k, time.Now()), Token: t.Reveal()}
}

func verificationJSON(v service.Verification) any { return api.VerificationFrom(v, time.Now()) }

// heldLimit is a limit as the API has it, and the place that defines it.
type heldLimit struct {
	domain.Limit

	Source domain.LimitSource `json:"source"`
}

func heldLimitsJSON(limits *domain.LimitSet) any {
	held := make([]heldLimit, limits.Len())
	for i := range held {
		held[i] = heldLimit{limits.At(i).Limit, limits.At(i).Source}
	}
	return held
}
