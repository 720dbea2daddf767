package domain_test

import (
	"testing"
	"time"

	"github.com/latchkey-dev/latchkey/domain"
)

// Bounds and defaults that clients, pages and stored data rely on. A change to one
// of them is a change to what users were promised.
func TestNumbersAreAsPromised(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]int{
		"characters of a name":              {domain.MaxNameLength, 100},
		"characters of a reason":            {domain.MaxReasonLength, 500},
		"scopes of a key":                   {domain.MaxScopes, 100},
		"characters of an external id":      {domain.MaxExternalIDLength, 200},
		"metadata entries":                  {domain.MaxMetadataEntries, 50},
		"characters of a metadata name":     {domain.MaxMetadataKeyLength, 64},
		"bytes of metadata":                 {domain.MaxMetadataBytes, 4096},
		"limits of one place":               {domain.MaxLimits, 16},
		"units":                             {domain.MaxUnits, 1_000_000_000_000},
		"units a second":                    {domain.MaxRatePerSecond, 1_000_000},
		"characters of a time zone":         {domain.MaxTimeZoneLength, 64},
		"plans of a project":                {domain.MaxPlans, 200},
		"rows of an import":                 {domain.MaxImportRows, 10_000},
		"bytes of a row of an import":       {domain.MaxImportRowBytes, 65_536},
		"iterations of an imported hash":    {domain.MaxIterations, 1_000_000},
		"items of a page, by default":       {domain.DefaultPageSize, 50},
		"items of a page":                   {domain.MaxPageSize, 200},
		"groups of usage":                   {domain.MaxUsageGroups, 2},
		"bytes of an email address":         {domain.MaxEmailLength, 254},
		"characters of a password, least":   {domain.MinPasswordLength, 12},
		"characters of a password":          {domain.MaxPasswordLength, 256},
		"bytes of a digest":                 {domain.DigestLength, 32},
		"days of an invitation":             {int(domain.InvitationLifetime / time.Hour), 7 * 24},
		"hours of a rotation, by default":   {int(domain.DefaultGrace / time.Hour), 24},
		"hours of a rotation":               {int(domain.MaxGrace / time.Hour), 30 * 24},
		"hours for which minutes are kept":  {int(domain.MinutesKept / time.Hour), 48},
		"days that a question is about":     {int(domain.MaxUsagePeriod / (24 * time.Hour)), 5 * 366},
		"hours that a question is about":    {int(domain.MaxUsagePeriod / time.Hour), 5 * 366 * 24},
		"nanoseconds of minutes kept":       {int(domain.MinutesKept), 172_800_000_000_000},
		"nanoseconds of an invitation":      {int(domain.InvitationLifetime), 604_800_000_000_000},
		"nanoseconds of a default rotation": {int(domain.DefaultGrace), 86_400_000_000_000},
		"nanoseconds of a longest rotation": {int(domain.MaxGrace), 2_592_000_000_000_000},
	} {
		if got, want := pair[0], pair[1]; got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}
