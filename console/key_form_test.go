package console

import (
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// The form of a key says what each of Latchkey's scopes allows, and calls none of
// them the project's own.
func TestScopesHaveMeanings(t *testing.T) {
	t.Parallel()
	for _, scope := range domain.KeyScopes {
		if scopeMeanings[scope] == "" {
			t.Errorf("the form of a key does not say what %s allows", scope)
		}
	}
}
