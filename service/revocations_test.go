package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// Guarantees that a selection revokes exactly the keys that fit all of it, that a dry
// run revokes none and says the same, and that a selection of everything is refused.
func TestRevokeKeysOfASelection(t *testing.T) {
	onEach(t, func(w *world) {
		ann := w.signUp("ann@example.com")
		_, p := w.tenant(ann)
		var ids []domain.KeyID
		for i, spec := range []domain.KeySpec{
			{Name: "a", ExternalID: "initech", Scopes: []domain.Scope{"documents:read"}},
			{Name: "b", ExternalID: "initech", Scopes: []domain.Scope{"documents:read", "documents:write"}},
			{Name: "c", ExternalID: "globex", Scopes: []domain.Scope{"documentsxread:a", "documents:write"}},
			{Name: "d", ExternalID: "globex", Scopes: []domain.Scope{"a_b:c"}},
			{Name: "e", ExternalID: "initech", Scopes: []domain.Scope{"axb:c"}},
		} {
			key, _, err := p.CreateKey(w.Context(), spec)
			w.check(err)
			ids = append(ids, key.ID)
			if i == 4 {
				_, err = p.RevokeKey(w.Context(), key.ID, "before")
				w.check(err)
			}
		}
		names := func(s domain.KeySelection, dry bool) (got string) {
			w.Helper()
			done, err := p.RevokeKeys(w.Context(), s, "the contract ended", dry)
			w.check(err)
			names := make([]string, len(done.Keys)) // all are of the same moment, so their order is that of their ids
			for i, key := range done.Keys {
				names[i] = key.Name
			}
			slices.Sort(names)
			got = strings.Join(names, "")
			if !dry {
				for _, key := range done.Keys {
					if key.RevokedReason != "the contract ended" {
						w.Errorf("%s: got the reason %q", key.Name, key.RevokedReason)
					}
				}
			}
			return got
		}
		user, _ := ann.User()
		for _, test := range []struct {
			selection domain.KeySelection
			want      string
		}{
			{domain.KeySelection{ExternalID: "initech"}, "ab"},
			{domain.KeySelection{Scope: "documents:write"}, "bc"},
			{domain.KeySelection{Scope: "axb:c"}, ""},
			{domain.KeySelection{Scope: "a_b:c"}, "d"},
			{domain.KeySelection{Scope: "documents:write", ExternalID: "globex"}, "c"},
			{domain.KeySelection{CreatedBy: string(user.User.ID)}, "abcd"},
			{domain.KeySelection{CreatedBy: "system"}, ""},
			{domain.KeySelection{ExternalID: "unknown"}, ""},
		} {
			if got := names(test.selection, true); got != test.want {
				w.Errorf("%+v: a dry run says %q, want %q", test.selection, got, test.want)
			}
		}
		if got := names(domain.KeySelection{ExternalID: "initech"}, false); got != "ab" {
			w.Errorf("revoked %q, want ab", got)
		}
		if got := names(domain.KeySelection{CreatedBy: string(user.User.ID)}, true); got != "cd" {
			w.Errorf("afterwards %q are left, want cd", got)
		}
		for _, wrong := range []domain.KeySelection{{}, {CreatedBy: "ann"}, {Scope: "nonsense"}, {ExternalID: "a\nb"}} {
			_, err := p.RevokeKeys(w.Context(), wrong, "", false)
			w.code(err, domain.CodeValidationFailed)
		}
		key, err := p.GetKey(w.Context(), ids[2])
		if w.check(err); !key.RevokedAt.IsZero() {
			w.Error("a key beside the selection was revoked")
		}
	})
}

// Guarantees that a key that revokes others keeps itself and those that can do more than
// it can, and that more keys than a request takes are revoked by the next one.
func TestRevokeKeysByAKey(t *testing.T) {
	onEach(t, func(w *world) {
		_, p := w.tenant(w.signUp("ann@example.com"))
		own := domain.KeySpec{Name: "own", ExternalID: "x", Scopes: []domain.Scope{domain.KeysWrite, "documents:read"}}
		_, token, err := p.CreateKey(w.Context(), own)
		w.check(err)
		for _, scopes := range [][]domain.Scope{{}, {"documents:read"}, {domain.KeysVerify}} {
			_, _, err := p.CreateKey(w.Context(), domain.KeySpec{Name: fmt.Sprint(scopes), ExternalID: "x", Scopes: scopes})
			w.check(err)
		}
		proven, err := w.ProveKey(w.Context(), token.Reveal(), nil)
		w.check(err)
		handle, err := w.Project(w.Context(), domain.ProvenPrincipal(proven, nil, domain.Origin{}), "")
		w.check(err)
		done, err := handle.RevokeKeys(w.Context(), domain.KeySelection{ExternalID: "x"}, "", false)
		w.check(err)
		if len(done.Keys) != 2 || done.Kept != 2 || done.More {
			w.Errorf("got %d revoked, %d kept, want 2 and 2", len(done.Keys), done.Kept)
		}
		w.answers(map[string]domain.Code{token.Reveal(): ""})
	})
}
