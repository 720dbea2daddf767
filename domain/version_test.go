package domain_test

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

func TestVersionAtLeast(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version, least string
		want           bool
	}{
		{"0.2.0", "0.2.0", true},
		{"0.2.1", "0.2.0", true},
		{"0.10.0", "0.2.0", true},
		{"1.0.0", "0.2.0", true},
		{"0.2.0-rc.1", "0.2.0", true},
		{domain.Version, "0.2.0", true},
		{"0.1.9", "0.2.0", false},
		{"0.2.0", "0.10.0", false},
		{"0.2.0", "1.0.0", false},
		{"", "0.2.0", false},
		{"9", "0.2.0", false},
		{"9.9.x", "0.2.0", false},
	} {
		if got := domain.VersionAtLeast(test.version, test.least); got != test.want {
			t.Errorf("VersionAtLeast(%q, %q) = %t, want %t", test.version, test.least, got, test.want)
		}
	}
}
