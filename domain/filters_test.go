package domain_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a list is never answered as if a filter that is mistyped had not
// been there: what no row can match is refused, and named.
func TestUnknownFiltersAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		filter interface{ Validate() error }
		want   string
	}{
		"another word":       {domain.KeyFilter{Status: "inactive"}, "status"},
		"another case":       {domain.KeyFilter{Status: "Revoked"}, "status"},
		"a list":             {domain.KeyFilter{Status: "active,revoked"}, "status"},
		"an environment":     {domain.KeyFilter{Environment: "production"}, "environment"},
		"a creator's name":   {domain.KeyFilter{CreatedBy: "Ann"}, "created_by"},
		"another use":        {domain.KeyFilter{Used: "false"}, "used"},
		"an action in words": {domain.EventFilter{Action: "key revoked"}, "action"},
		"an action's half":   {domain.EventFilter{Action: "key."}, "action"},
	} {
		err := c.filter.Validate()
		fields := domain.FieldErrors(err)
		if domain.CodeOf(err) != domain.CodeValidationFailed || len(fields) != 1 || fields[0].Pointer != c.want {
			t.Errorf("%s: got %v %v, want validation_failed for %s", name, err, fields, c.want)
		}
	}
	for _, good := range []interface{ Validate() error }{
		domain.KeyFilter{},
		domain.KeyFilter{Status: domain.KeyRevoked, Environment: domain.Test, CreatedBy: "usr_01kjpy44e0ftkrm422m7s1ga8b"},
		domain.KeyFilter{CreatedBy: "key_01kjpy44e0fcfrt0xvtfeed5a2"}, domain.KeyFilter{CreatedBy: "system"},
		domain.KeyFilter{Used: domain.UsedNever}, domain.KeyFilter{Used: domain.UsedEver},
		domain.EventFilter{}, domain.EventFilter{Action: "key.revoked", Actor: "ann@example.com", Target: "billing service"},
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: got %v, want no error", good, err)
		}
	}
}
