package domain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees for each field of a grant what is taken and what is refused, at its bounds.
func TestGrantsAreBounded(t *testing.T) {
	t.Parallel()
	const key = domain.KeyID("key_01m8g5j6tyfd5rqvxxj1fm6wjc")
	for name, c := range map[string]struct {
		change func(*domain.CreditGrant)
		want   string
	}{
		"a grant":        {func(*domain.CreditGrant) {}, "[]"},
		"by external id": {func(g *domain.CreditGrant) { g.KeyID, g.ExternalID = "", "c" }, "[]"},
		"the longest external id": {func(g *domain.CreditGrant) {
			g.KeyID, g.ExternalID = "", strings.Repeat("c", domain.MaxExternalIDLength)
		}, "[]"},
		"a longer one": {func(g *domain.CreditGrant) {
			g.KeyID, g.ExternalID = "", strings.Repeat("c", domain.MaxExternalIDLength+1)
		}, "[/external_id]"},
		"neither key nor id":   {func(g *domain.CreditGrant) { g.KeyID = "" }, "[/key_id]"},
		"both":                 {func(g *domain.CreditGrant) { g.ExternalID = "c" }, "[/external_id]"},
		"no name":              {func(g *domain.CreditGrant) { g.Limit = "" }, "[/limit]"},
		"nothing":              {func(g *domain.CreditGrant) { g.Amount = 0 }, "[/amount]"},
		"the least taken back": {func(g *domain.CreditGrant) { g.Amount = -1 }, "[]"},
		"the most":             {func(g *domain.CreditGrant) { g.Amount = domain.MaxUnits }, "[]"},
		"more":                 {func(g *domain.CreditGrant) { g.Amount = domain.MaxUnits + 1 }, "[/amount]"},
		"the most taken back":  {func(g *domain.CreditGrant) { g.Amount = -domain.MaxUnits }, "[]"},
		"more taken back":      {func(g *domain.CreditGrant) { g.Amount = -domain.MaxUnits - 1 }, "[/amount]"},
		"the longest reason":   {func(g *domain.CreditGrant) { g.Reason = strings.Repeat("r", domain.MaxReasonLength) }, "[]"},
		"a longer reason":      {func(g *domain.CreditGrant) { g.Reason = strings.Repeat("r", domain.MaxReasonLength+1) }, "[/reason]"},
	} {
		g := domain.CreditGrant{Limit: "credits", KeyID: key, Amount: 1}
		c.change(&g)
		if got := fmt.Sprint(fields(t, g.Validate())); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	for want, f := range map[string]domain.CreditFilter{
		"[]":            {ExternalID: "c", KeyID: key},
		"[key_id]":      {KeyID: "key_1"},
		"[external_id]": {ExternalID: "a\x00"},
	} {
		if got := fmt.Sprint(fields(t, f.Validate())); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}

func TestNoLimitsAreNone(t *testing.T) {
	t.Parallel()
	var none *domain.LimitSet
	if n := none.Len(); n != 0 {
		t.Errorf("got %d limits, want none", n)
	}
}
